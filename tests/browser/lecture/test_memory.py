"""The view Memory: distances, half-lives by layer and unit, both continuations."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.playground import Playground
from tests.support.service.process import RunningService

pytestmark = pytest.mark.slow

FIRST, SECOND, AFTER = "The laws", "The law", " of the country by the side of the road"


def half_life(values: Sequence[float]) -> str:
    """The first step from which on no value is above half of the first one, in words."""
    above = [step for step, value in enumerate(values) if value > values[0] / 2]
    step = above[-1] + 1
    if step == len(values):
        return f"more than {step - 1} words"
    return "1 word" if step == 1 else f"{step} words"


def hidden_values(service: RunningService, text: str) -> np.ndarray:
    """The hidden states (steps, layers, units) before and after each word that follows a text."""
    array = service.ask("/inspect", text=text + AFTER, top=0, encoding="base64")["arrays"]["hidden"]
    values = np.frombuffer(base64.b64decode(array["data"]), "<f2").reshape(array["shape"])
    return values[-(len(AFTER.split()) + 1) :].astype(np.float64)


def test_half_lives_follow_the_distances_of_the_service(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """Of each layer and of the prediction, in the sentence under the chart."""
    section = playground.open("memory", first=FIRST, second=SECOND, continuation=AFTER.strip())
    section.locator(".lasting-units td").first.wait_for()
    answer = pretrained_service.ask(
        "/inspect/states", first=FIRST, second=SECOND, continuation=AFTER, top=1
    )
    distances = np.array([step["distance"] for step in answer["steps"]])
    divergence = [step["divergence_bits"] for step in answer["steps"]]
    series = [*distances.T.tolist(), divergence]
    shown = section.locator(".verdict b").all_inner_texts()
    assert shown == [half_life(values) for values in series]
    assert section.locator(".distance-chart polyline").count() == 3


def test_units_are_those_that_differ_most_at_the_end(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """With the difference before the common words, after them, and the half-life."""
    section = playground.open("memory", first=FIRST, second=SECOND, continuation=AFTER.strip())
    section.locator(".lasting-units td").first.wait_for()
    difference = np.abs(
        hidden_values(pretrained_service, FIRST) - hidden_values(pretrained_service, SECOND)
    )
    largest = np.argsort(-difference[-1], axis=None)[:6]
    for row, index in zip(section.locator("tbody tr").all(), largest, strict=True):
        layer, unit = np.unravel_index(index, difference[-1].shape)
        values = difference[:, layer, unit]
        assert row.locator("th").inner_text() == str(layer)
        shown = row.locator("td").all_inner_texts()
        assert shown[0] == str(unit)
        assert [float(text) for text in shown[1:3]] == pytest.approx(
            [values[0], values[-1]], abs=0.00501
        )
        assert shown[3] == half_life(values.tolist())


def test_both_memories_go_on_with_one_seed(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """The continuations of the two texts are those of /generate with the same seed."""
    section = playground.open("memory", first=FIRST, second=SECOND, continuation=AFTER.strip())
    section.locator("#memory-seed").fill("7")
    section.get_by_role("button", name="Generate").click()
    playground.wait_until(
        "[...document.querySelectorAll('.operation-result .passage')].every((p) => p.textContent)"
    )
    places = section.locator(".operation-result .passage")
    for place, text in zip(places.all(), (FIRST, SECOND), strict=True):
        answer = pretrained_service.ask(
            "/generate", prompt=text + AFTER, seed=7, temperature=0.7, max_tokens=24
        )
        assert place.text_content() == text + AFTER + answer["choices"][0]["text"]


def test_swapped_memories_go_on_after_the_other_text(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """Whole memories and those of one layer; the passages are those of /inspect/swap."""
    section = playground.open("memory", first=FIRST, second=SECOND, continuation=AFTER.strip())
    section.locator(".lasting-units td").first.wait_for()
    for choice, layers in (("all", {}), ("1", {"layers": [1]})):
        answer = pretrained_service.ask(
            "/inspect/swap",
            first=FIRST,
            second=SECOND,
            continuation=AFTER,
            seed=1,
            temperature=0.7,
            max_tokens=24,
            **layers,
        )
        section.locator("#memory-swap").select_option(choice)
        section.get_by_role("button", name="Generate").click()
        first = section.locator(".operation-result .passage").first
        expect(first).to_have_text(FIRST + AFTER + answer["first_swapped"]["text"])


def test_equal_texts_have_no_half_life(playground: Playground) -> None:
    """The page says that nothing differs."""
    section = playground.open("memory", first=FIRST, second=FIRST, continuation="of the")
    section.locator(".lasting-units td").first.wait_for()
    assert section.locator(".verdict").inner_text() == "Both texts leave the same state."
