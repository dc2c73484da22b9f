"""The view Gradient: the numbers of the service under each word, the choice of the word."""

from __future__ import annotations

import math

import pytest

from tests.browser.playground import Playground
from tests.support.service.process import RunningService

pytestmark = pytest.mark.slow

TEXT = "The keys to the cabinet by the door on the left are"


def numbers(playground: Playground, row: str) -> list[float]:
    """One row of the first chart."""
    texts = playground.page.locator(f".gradient-bars >> nth=0 >> .{row}").all_text_contents()
    return [float(text.lstrip("×")) for text in texts]


def test_bars_and_factors_are_those_of_the_service(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """Gradient, factor and the product of the later factors, to the shown digits; the heights of
    the bars are in proportion.
    """
    section = playground.open("gradient", text=TEXT)
    section.locator(".gradient-bars").first.wait_for()
    prefix, _, target = TEXT.rpartition(" ")
    answer = pretrained_service.ask("/inspect/influence", text=prefix, target=f" {target}")
    gradients = [token["gradient"] for token in answer["tokens"]]
    factors = [token["factor"] for token in answer["tokens"]]
    assert numbers(playground, "bar-value") == pytest.approx(gradients, abs=0.00501)
    assert numbers(playground, "factor") == pytest.approx(factors, abs=0.00501)
    products = [math.prod(factors[index + 1 :]) for index in range(len(factors))]
    assert numbers(playground, "product") == pytest.approx(products, abs=0.00501)
    heights = section.locator(".gradient-bars .bar").evaluate_all(
        "(bars) => bars.map((bar) => Number(bar.getAttribute('height')))"
    )
    assert [height / max(heights) for height in heights] == pytest.approx(
        [gradient / max(gradients) for gradient in gradients], abs=0.001
    )


def test_another_word_is_chosen_with_the_keyboard(playground: Playground) -> None:
    """Arrow keys and Enter take the loss of another word; the words after it are not read."""
    section = playground.open("gradient", text=TEXT)
    section.locator(".gradient-bars").first.wait_for()
    section.locator(".sentence-tokens .token").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Enter"):
        playground.page.keyboard.press(key)
    section.locator(".loss", has_text="−log p(the)").wait_for()
    assert section.locator(".gradient-bars .bar").count() == 3
    assert playground.link["target"] == "3"
    assert section.locator(".sentence-tokens .token[aria-selected='true']").inner_text() == " the"


def test_models_stand_beside_one_another(playground: Playground) -> None:
    """A box for each further language model adds its chart, and the link has it."""
    section = playground.open("gradient", text=TEXT)
    section.locator(".gradient-bars").first.wait_for()
    section.get_by_role("checkbox", name="shakespeare-char").check()
    playground.wait_until("document.querySelectorAll('.gradient-bars').length === 2")
    assert playground.link["compared"] == "shakespeare-char"


def test_unknown_words_are_named(playground: Playground) -> None:
    """A word outside the vocabulary is marked and named."""
    section = playground.open("gradient", text="The zyxwv of the country is")
    section.locator(".gradient-bars").first.wait_for()
    assert "zyxwv" in section.locator(".unknown-words").inner_text()
    assert section.locator(".sentence-tokens .unknown").count() == 1


def test_one_token_has_no_gradient(playground: Playground) -> None:
    """A sentence without a word before the predicted one gets a notice."""
    section = playground.open("gradient", text="The")
    section.locator(".notice", has_text="at least two tokens").wait_for()
