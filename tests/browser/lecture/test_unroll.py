"""The view Unroll: a column for each token, the numbers of the model, the arithmetic of a box."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from model.architecture import Cell
from tests.browser.conftest import LAPTOP
from tests.browser.playground import Playground
from tests.support.service.engine_client import language_model
from tests.support.service.process import RunningService

pytestmark = pytest.mark.slow

TEXT = "The people of this nation"
CELLS: tuple[Cell, ...] = ("elman", "gru", "lstm")


@pytest.fixture(scope="module")
def cells(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Playground, RunningService]]:
    """The page of a service with a character model of every cell, ``char-CELL-2``."""
    models = tmp_path_factory.mktemp("cells")
    for cell in CELLS:
        language_model(models, cell=cell)
    with RunningService(models) as running:
        context = browser.new_context(viewport=LAPTOP, reduced_motion="reduce")
        page = Playground(context.new_page(), f"http://127.0.0.1:{running.port}/")
        yield page, running
        context.close()
        assert page.script_errors == []


def sigmoid(value: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-value))


def number(text: str) -> float:
    """A number as the page writes it."""
    return float(text.replace("−", "-"))


def test_boxes_hold_the_numbers_of_the_model(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """A column for each token, a row for each layer, and the values that /inspect has."""
    section = playground.open("unroll", text=TEXT, unit="5")
    section.locator(".network .box").first.wait_for()
    tokens = pretrained_service.ask("/inspect", text=TEXT, units=[5], top=1)["tokens"]
    boxes = section.locator(".network .box")
    assert boxes.count() == 2 * len(tokens)
    words = section.locator(".network .word").all_text_contents()
    assert words == [token["text"].strip() for token in tokens]
    for index, token in enumerate(tokens):
        for layer in range(2):
            box = section.locator(f".box[data-column='{index}'][data-layer='{layer}']")
            values = [number(text.split()[1]) for text in box.locator(".value").all_text_contents()]
            expected = [token["hidden"][layer][0], token["cell"][layer][0]]
            assert values == pytest.approx(expected, abs=0.00501)


def test_the_cycle_unrolls_as_one_types(playground: Playground) -> None:
    """Without a text it is one column with loops; each word that is typed adds a column."""
    section = playground.open("unroll", text="")
    section.locator(".network.rolled").wait_for()
    assert section.locator(".network .column").count() == 1
    section.locator("#unroll-text").focus()
    for columns, text in enumerate(("The", " people", " of"), start=1):
        playground.page.keyboard.type(text)
        playground.wait_until(f"document.querySelectorAll('.network .word').length === {columns}")
    assert section.locator(".network.rolled").count() == 0
    section.locator("#unroll-rolled").check()
    section.locator(".network.rolled").wait_for()
    assert section.locator(".network .word").text_content() == "of"


def test_equal_weights_have_equal_colors(playground: Playground) -> None:
    """W_h of a layer has one color in all columns, and no two matrices of the model share one."""
    section = playground.open("unroll", text=TEXT)
    section.locator(".network .box").first.wait_for()
    colors = section.locator(".network .arrow").evaluate_all(
        "(arrows) => arrows.map((a) => [a.getAttribute('class'), getComputedStyle(a).stroke])"
    )
    by_class = dict(map(tuple, colors))
    assert len(colors) == 5 * 5
    assert sorted({(name, color) for name, color in colors}) == sorted(by_class.items())
    assert len(set(by_class.values())) == 5


@pytest.mark.parametrize("cell", CELLS)
def test_the_arithmetic_adds_up(cells: tuple[Playground, RunningService], cell: Cell) -> None:
    """In every cell the shown numbers, put into the shown formula, give the shown result."""
    playground, service = cells
    model, text = f"char-{cell}-2", "The cat"
    section = playground.open("unroll", model=model, text=text, layer="1", token="4", unit="2")
    section.locator(".arithmetic li").first.wait_for()
    sums = section.locator(".arithmetic .put-in").all_inner_texts()
    results = section.locator(".arithmetic .result b").all_inner_texts()
    for put_in, result in zip(sums, results, strict=True):
        expression = put_in.lstrip("= ").replace("−", "-").replace("·", "*").replace("σ", "sigmoid")
        value = eval(expression, {"tanh": math.tanh, "sigmoid": sigmoid})  # noqa: S307
        assert value == pytest.approx(number(result), abs=0.003), put_in
    inspected = service.ask("/inspect", model=model, text=text, layers=[1], units=[2])
    hidden = inspected["tokens"][4]["hidden"][0][0]
    assert number(results[-1]) == pytest.approx(hidden, abs=0.000501)


def test_the_keyboard_moves_and_opens(playground: Playground) -> None:
    """One tab stop in the drawing; arrow keys move between boxes and Enter opens one."""
    section = playground.open("unroll", text=TEXT)
    section.locator(".network .box").first.wait_for()
    section.locator(".box[tabindex='0']").focus()
    assert section.locator(".box[tabindex='0']").count() == 1
    for key in ("ArrowLeft", "ArrowDown", "Enter"):
        playground.page.keyboard.press(key)
    title = section.locator(".step-title")
    title.filter(has_text="Layer 0, unit 0, after “this”").wait_for()
    assert section.locator(".box[aria-pressed='true']").count() == 1
    assert playground.link["token"] == "3"


def test_a_long_text_shows_its_end(playground: Playground) -> None:
    """Of 60 words the last 24 are drawn, and the page says so."""
    section = playground.open("unroll", text=" ".join(["people"] * 60))
    section.locator(".network-caption", has_text="The last 24 of 60").wait_for()
    assert section.locator(".network .word").count() == 24
