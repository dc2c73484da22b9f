"""The view Classify: labels, the probability as it is read, words that decide, a column."""

from __future__ import annotations

import pytest

from tests.browser.playground import Playground
from tests.support.service.process import RunningService

TEXT = "What begins as a tired zorgly comedy becomes a touching, wonderful film."


def test_labels_words_and_gap_are_those_of_inspect(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """Bars, contributions, the completeness gap and unknown words, as /inspect gives them."""
    section = playground.open("classify", model="sentiment", text=TEXT)
    section.locator(".labels .percent").first.wait_for()
    answer = pretrained_service.ask("/inspect", model="sentiment", text=TEXT, prefixes=128)
    scores = answer["tokens"][-1]["scores"]
    assert section.locator(".labels .label").all_inner_texts() == [s["label"] for s in scores]
    shown = section.locator(".labels .percent").all_inner_texts()
    assert [float(text.strip(" %")) for text in shown] == pytest.approx(
        [100 * score["score"] for score in scores], abs=0.51
    )
    titles = section.locator(".document .token").evaluate_all(
        "(words) => words.map((word) => word.title)"
    )
    contributions = [float(title.split(",")[0].replace("−", "-")) for title in titles]
    expected = [token["contribution"] for token in answer["tokens"]]
    assert contributions == pytest.approx(expected, abs=0.00501)
    assert section.locator(".document").inner_text() == TEXT
    assert section.locator(".document .unknown").all_inner_texts() == ["zorgly"]
    gap = abs(answer["attribution"]["completeness_gap"])
    assert f"{gap:.4f}" in section.locator(".attribution").inner_text()
    assert "1 not in the vocabulary" in section.locator(".totals").inner_text()


def test_the_line_is_the_probability_after_each_word(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """A point for each token at its height, and a readout for the word under the pointer."""
    section = playground.open("classify", model="sentiment", text=TEXT)
    section.locator(".reading-chart polyline").first.wait_for()
    answer = pretrained_service.ask("/inspect", model="sentiment", text=TEXT, prefixes=128)
    label = answer["tokens"][-1]["scores"][0]["label"]
    expected = [
        next(score["score"] for score in token["scores"] if score["label"] == label)
        for token in answer["tokens"]
    ]
    points = section.locator(".reading-chart polyline").first.get_attribute("points") or ""
    heights = [float(point.split(",")[1]) for point in points.split()]
    top, bottom = 14, 180  # where the axis has 1 and 0
    shown = [(bottom - height) / (bottom - top) for height in heights]
    assert shown == pytest.approx(expected, abs=0.001)
    section.locator(".document .token").nth(3).hover()
    readout = section.locator(".chart-readout").inner_text()
    assert label in readout
    assert section.locator(".reading-chart .position").count() == 1


def test_words_that_would_change_the_label(playground: Playground) -> None:
    """The nearest change names the words and the label without them."""
    section = playground.open("classify", model="sentiment", text="one of the most zorgly films")
    section.locator(".labels .percent").first.wait_for()
    section.locator("button.nearest").click()
    section.locator(".change", has_text="Without “most” the label is negative").wait_for()


def test_a_column_becomes_a_table(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """More lines than one request takes; each row is what /classify says of it."""
    lines = [f"film {number} is wonderful" for number in range(70)] + ["", "a tedious mess"]
    section = playground.open("classify", model="sentiment", text="\n".join(lines), column="1")
    rows = section.locator(".results tbody tr")
    rows.nth(70).wait_for()
    assert rows.count() == 71
    answer = pretrained_service.ask("/classify", model="sentiment", text="a tedious mess")
    assert answer["results"][0]["label"] in rows.nth(70).inner_text()


def test_a_text_out_of_scope(playground: Playground) -> None:
    """The label is written out, and the contributions are those to the likeliest label."""
    section = playground.open("classify", model="user-requests", text="how do i say good morning")
    section.locator(".labels .percent").first.wait_for()
    section.locator("#classify-text").fill("i lost my card, please freeze my account")
    section.locator(".labels li", has_text="out of scope").wait_for()
    section.locator(".attribution", has_text="speak for").wait_for()
    assert "out of scope" not in section.locator(".attribution").inner_text()


def test_many_labels(playground: Playground) -> None:
    """The five likeliest of 150 labels, as words."""
    section = playground.open("classify", model="user-requests")
    section.locator(".examples button", has_text="Good morning").click()
    section.locator(".labels .label", has_text="translate").first.wait_for()
    assert section.locator(".labels li").count() == 5
