"""The views Compare and Models."""

from __future__ import annotations

import math

import pytest

from tests.browser.playground import Playground
from tests.support.service.process import RunningService

PREFIX = "The people of this great nation"


def test_two_lines_along_a_sentence(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """A point for each word on both lines; the table has the numbers of /inspect/continuations."""
    section = playground.open("compare", prefix=PREFIX, first="is", second="are")
    section.locator("polyline").nth(1).wait_for()
    answer = pretrained_service.ask(
        "/inspect/continuations", model="english-word", prefix=PREFIX, continuations=[" is", " are"]
    )
    shown = section.locator("td[data-logprob]").evaluate_all(
        "(cells) => cells.map((cell) => Number(cell.dataset.logprob))"
    )
    expected = [logprob for step in answer["steps"] for logprob in step["logprobs"]]
    assert shown == pytest.approx(expected)
    one, other = answer["steps"][-1]["logprobs"]
    times = math.exp(abs(one - other))
    section.locator(".verdict", has_text=f"“are” is {times:.0f} times as likely").wait_for()
    words = section.locator(".chart .word").all_text_contents()
    assert words == ["(start)", *PREFIX.split()]


def test_the_sentence_is_editable(playground: Playground) -> None:
    """Typing redraws the lines and moves the link."""
    section = playground.open("compare", prefix=PREFIX, first="is", second="are")
    section.locator("polyline").first.wait_for()
    section.locator("#compare-prefix").fill("The nation")
    playground.wait_until("document.querySelectorAll('.chart .word').length === 3")
    assert playground.link["prefix"] == "The nation"


def test_all_models_are_shown(playground: Playground, pretrained_service: RunningService) -> None:
    """A card for each, with its metrics, limits and the views that use it."""
    section = playground.open("models")
    cards = section.locator(".card")
    cards.first.wait_for()
    models = pretrained_service.client.get("/models").json()["models"]
    assert section.locator(".card h3").count() == len(models)
    card = cards.filter(has_text="english-word")
    card.locator("summary", has_text="Metrics").click()
    assert "test word perplexity" in card.inner_text()
    card.locator("a", has_text="Compare").click()
    playground.page.locator("#view-compare polyline").first.wait_for()
    assert playground.page.locator("#compare-model").input_value() == "english-word"
