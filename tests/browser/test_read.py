"""The view Read: numbers as torch computes them, units found by brushing, clamping."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from tests.browser.playground import Playground
from tests.support.repository import ROOT
from tests.support.service.process import RunningService

pytestmark = pytest.mark.slow

MODEL = "shakespeare-char"
TEXT = "ROMEO:\nWhat say you to my suit?\nThe morning comes, and I must hence.\n"


@torch.no_grad()
def plain_lstm(text: str) -> tuple[Tensor, Tensor]:
    """Surprisal in bits and the hidden values of the last layer, by nn.LSTM over the weights."""
    weights = load_file(ROOT / "pretrained" / MODEL / "weights.safetensors")
    layers, _, hidden = weights["initial_hidden_L1H"].shape
    lstm = nn.LSTM(weights["embedding.weight"].shape[1], hidden, layers)
    lstm.load_state_dict(
        {
            name.removeprefix("recurrent."): tensor
            for name, tensor in weights.items()
            if name.startswith("recurrent.")
        }
    )
    tokenizer = Tokenizer.from_file(str(ROOT / "pretrained" / MODEL / "tokenizer.json"))
    ids = [tokenizer.token_to_id("[END]"), *tokenizer.encode(text, add_special_tokens=False).ids]
    state = (weights["initial_hidden_L1H"], weights["initial_cell_L1H"])
    hidden_TH, _ = lstm(weights["embedding.weight"][torch.tensor(ids)], [s[:, 0] for s in state])
    logits_TV = hidden_TH @ weights["output.weight"].T + weights["output.bias"]
    logprobs_TV = logits_TV.log_softmax(-1)
    surprisal_T = -logprobs_TV[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0] / math.log(2)
    return surprisal_T, hidden_TH[1:]


def values_of(playground: Playground) -> list[float]:
    """The number of each token, as its label says it."""
    labels = playground.page.locator(".reading .token").evaluate_all(
        "(tokens) => tokens.map((token) => token.getAttribute('aria-label'))"
    )
    return [float(label.rpartition(", ")[2].split()[0].replace("−", "-")) for label in labels]


def test_surprisal_is_that_of_a_plain_lstm(playground: Playground) -> None:
    """Each character's bits, to the shown digit."""
    playground.open("read", model=MODEL, text=TEXT, color="surprisal")
    playground.wait_until_read()
    surprisal_T, _ = plain_lstm(TEXT)
    assert values_of(playground) == pytest.approx(surprisal_T.tolist(), abs=0.0501)


def test_a_unit_is_that_of_a_plain_lstm(playground: Playground) -> None:
    """Each character's hidden value, to the shown digits."""
    playground.open("read", model=MODEL, text=TEXT, color="unit", layer="1", unit="31")
    playground.wait_until_read()
    _, hidden_TH = plain_lstm(TEXT)
    assert values_of(playground) == pytest.approx(hidden_TH[:, 31].tolist(), abs=0.00501)


def test_gates_color_the_text(playground: Playground, pretrained_service: RunningService) -> None:
    """The forget gate of a unit, as /inspect gives it; a gate that LSTM cells lack is named."""
    section = playground.open("read", model=MODEL, text=TEXT, color="forget", layer="1", unit="31")
    playground.wait_until_read()
    answer = pretrained_service.ask(
        "/inspect", model=MODEL, text=TEXT, top=0, layers=[1], units=[31], gates=True
    )
    gates = [token["gates"]["forget"][0][0] for token in answer["tokens"]]
    assert values_of(playground) == pytest.approx(gates, abs=0.00501)
    section.locator("#read-color").select_option("reset")
    section.locator(".notice", has_text="input, forget, output, candidate").wait_for()


def test_successors_of_the_token_under_the_pointer(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """Its bits, and the five likeliest tokens after it."""
    section = playground.open("read", model=MODEL, text=TEXT)
    playground.wait_until_read()
    section.locator(".reading .token").nth(8).hover()
    panel = playground.page.locator("#read-panel")
    panel.wait_for()
    answer = pretrained_service.ask("/inspect", model=MODEL, text=TEXT, top=5, layers=[])
    expected = answer["tokens"][8]
    assert f"{expected['surprisal_bits']:.1f} bits" in panel.inner_text()
    labels = panel.locator(".label").all_inner_texts()
    assert labels == [named(successor) for successor in expected["top"]]


def named(successor: dict[str, Any]) -> str:
    """A successor as the page writes it."""
    text: str = successor["text"]
    return "space" if text == " " else text.replace("\n", "↵")


def test_clamping_the_unit_that_counts_ends_lines_early(playground: Playground) -> None:
    """The unit named by the position in the line is found by search; held high, lines get short."""
    section = playground.open("read", model=MODEL, text=TEXT)
    playground.wait_until_read()
    section.locator(".named-units .unit", has_text="position in the line").click()
    clamped = section.locator(".clamped")
    playground.wait_until("document.querySelector('.clamped').textContent.length > 50")
    lines = clamped.inner_text().split("\n")
    plain = section.locator(".unclamped").inner_text().split("\n")
    assert len(lines) > 2 * len(plain)
    assert section.locator("#clamp-seed").input_value() == "1"
    assert playground.link["color"] == "unit"


def test_shutting_the_forget_gate_of_a_layer(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """The text is that of /inspect/generate with the gate of all units at 0."""
    section = playground.open("read", model=MODEL, text=TEXT)
    playground.wait_until_read()
    section.locator(".named-units .unit", has_text="position in the line").click()
    playground.wait_until("document.querySelector('.clamped').textContent.length > 50")
    before = section.locator(".clamped").text_content()
    section.locator("#clamp-signal").select_option("forget")
    section.locator("#clamp-all").check()
    section.locator("#clamp-value").fill("0")
    section.locator(".clamp-form button").click()
    clamp = {"layer": 1, "signal": "forget", "value": 0}
    answer = pretrained_service.ask(
        "/inspect/generate",
        model=MODEL,
        prompt=TEXT.split("\n", maxsplit=1)[0],
        clamp=[clamp],
        max_tokens=180,
        temperature=0.8,
        seed=1,
    )
    section.locator(".clamping:not([aria-busy])").wait_for()
    assert section.locator(".clamped").text_content() == answer["clamped"]["text"] != before


def test_brushing_the_text_finds_units(playground: Playground) -> None:
    """Shift with arrow keys marks a part, in the text and on the map; units that mark it follow."""
    section = playground.open("read", model=MODEL, text=TEXT)
    playground.wait_until_read()
    section.locator(".reading .token").nth(7).focus()
    for _ in range(3):
        playground.page.keyboard.press("Shift+ArrowRight")
    section.locator(".brushed-title", has_text="“What”").wait_for()
    assert section.locator(".brushed .unit").count() == 6
    assert section.locator(".brush").is_visible()


def test_brushing_the_map_finds_units(playground: Playground) -> None:
    """A horizontal drag over the map marks the same part of the text."""
    section = playground.open("read", model=MODEL, text=TEXT)
    playground.wait_until_read()
    box = section.locator("canvas").bounding_box()
    assert box is not None
    mouse = playground.page.mouse
    mouse.move(box["x"] + 0.02 * box["width"], box["y"] + 40)
    mouse.down()
    mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 60, steps=4)
    mouse.up()
    section.locator(".brushed .unit").first.wait_for()
    assert section.locator(".reading .token[aria-selected=true]").count() > 5


def test_spaces_and_line_ends_are_visible_on_request(playground: Playground) -> None:
    """Off at first; the box turns them on."""
    section = playground.open("read", model=MODEL, text=TEXT)
    playground.wait_until_read()
    content = "getComputedStyle(document.querySelector('.reading .space'), '::after').content"
    assert playground.page.evaluate(content) == "none"
    section.locator("#read-spaces").check()
    assert playground.page.evaluate(content) == '"·"'


def test_a_text_of_2000_tokens_is_read(playground: Playground) -> None:
    """The longest text that the service inspects is drawn whole."""
    section = playground.open("read", model=MODEL)
    section.locator("details.edit summary").click()
    section.locator("#read-text").fill(("To be, or not to be.\n" * 100)[:2000])
    section.locator(".edit-form button").click()
    section.locator(".totals", has_text="2,000 characters").wait_for()
    assert section.locator(".reading .token").count() == 2000
