"""The view Words: vectors, nearest words, the map."""

from __future__ import annotations

import pytest

from tests.browser.playground import Playground
from tests.support.service.process import RunningService

pytestmark = pytest.mark.slow


def test_nearest_words_are_those_of_the_service(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """A card for each word with its neighbors and cosines, and a dot for each word of them all."""
    section = playground.open("words", words="laws war")
    section.locator(".word-list .card").first.wait_for()
    answer = pretrained_service.ask("/inspect/words", words=["laws", "war"], neighbors=8)
    for card, word in zip(section.locator(".card").all(), answer["words"], strict=True):
        assert card.locator("h3").inner_text() == word["word"]
        assert card.locator(".label").all_inner_texts() == [n["word"] for n in word["neighbors"]]
        cosines = [float(text) for text in card.locator(".percent").all_inner_texts()]
        assert cosines == pytest.approx([n["cosine"] for n in word["neighbors"]], abs=0.00501)
    dots = section.locator(".word-map circle title").all_text_contents()
    assert sorted(dots) == sorted(point["word"] for point in answer["points"])
    labels = section.locator(".word-map text.asked").all_text_contents()
    assert labels == ["laws", "war"]


def test_a_word_outside_the_vocabulary_is_named(playground: Playground) -> None:
    """The notice names it; the words that were shown stay."""
    section = playground.open("words", words="laws")
    section.locator(".word-list .card").first.wait_for()
    section.locator("#words-text").fill("laws zyxwv")
    section.locator(".notice", has_text="'zyxwv' is not a token of the model").wait_for()
    assert section.locator(".card h3").all_inner_texts() == ["laws"]


def test_letters_have_vectors_too(playground: Playground) -> None:
    """An example with a character model shows its letters."""
    section = playground.open("words")
    section.get_by_role("button", name="Letters").click()
    section.locator(".card h3", has_text="b").wait_for()
    assert playground.link["model"] == "shakespeare-char"
