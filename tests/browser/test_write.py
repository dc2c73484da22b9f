"""The view Write: next words under the caret, continuations, alternatives, forks."""

from __future__ import annotations

import statistics

import pytest

from tests.browser.playground import Playground
from tests.support.service.process import RunningService

TWO_FRAMES = 34.0  # milliseconds
# The same requests without the page: milliseconds of each.
REQUEST_DURATIONS = """async (model) => {
  const durations = [];
  for (let length = 1; length <= 22; length += 1) {
    const prompt = "A king of the people".slice(0, length);
    const began = performance.now();
    const response = await fetch("next-word", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model, prompt, top: 10 }),
    });
    await response.json();
    durations.push(performance.now() - began);
  }
  return durations;
}"""


def test_bars_are_the_words_that_the_service_gives(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """The rows are those of /next-word, each with its percentage."""
    section = playground.open("write", model="shakespeare-char", text="ROMEO:\nMy lo")
    section.locator(".forecast").wait_for()
    answer = pretrained_service.ask(
        "/next-word", model="shakespeare-char", prompt="ROMEO:\nMy lo", top=9
    )
    labels = section.locator(".forecast-row .label").all_inner_texts()
    percentages = section.locator(".forecast-row .percent").all_inner_texts()
    assert labels == [word["word"] for word in answer["words"]]
    assert percentages[0] == f"{100 * answer['words'][0]['probability']:.0f} %"


def test_typing_completes_and_accepts_words(playground: Playground) -> None:
    """Tab takes the first word, a digit another one; punctuation takes the place of the space."""
    section = playground.open("write", model="shakespeare-char", text="")
    area = section.locator("#write-text")
    area.click()
    area.press_sequentially("ROMEO:\nMy lo", delay=10)
    section.locator(".forecast-row", has_text="lord").first.wait_for()
    section.locator(".forecast-row .percent", has_text="86 %").wait_for()
    area.press("Tab")
    assert area.input_value() == "ROMEO:\nMy lord "
    area.press(",")
    assert area.input_value() == "ROMEO:\nMy lord,"
    area.press_sequentially(" I", delay=10)
    playground.wait_until("document.querySelector('.forecast-row .label b').textContent === 'I'")
    second = section.locator(".forecast-row .label").nth(1).inner_text()
    area.press("2")
    assert area.input_value() == f"ROMEO:\nMy lord, {second} "
    assert playground.link["text"] == area.input_value()


def test_word_models_complete_half_typed_words(playground: Playground) -> None:
    """Only words that begin as typed are offered; a whole word is followed by the next ones."""
    section = playground.open("write", model="english-word", text="The United Sta")
    section.locator(".forecast-row b", has_text="Sta").first.wait_for()
    labels = section.locator(".forecast-row:visible .label").all_inner_texts()
    assert labels[0] == "States"
    assert all(label.startswith("Sta") for label in labels)
    section.locator("#write-text").press("Tab")
    assert section.locator("#write-text").input_value() == "The United States "


@pytest.mark.parametrize("model", ["shakespeare-char", "english-word"])
def test_a_keystroke_is_answered_at_the_pace_of_the_service(
    playground: Playground, model: str
) -> None:
    """From keystroke to drawn bars takes at most two frames and two requests."""
    section = playground.open("write", model=model, text="")
    area = section.locator("#write-text")
    area.press_sequentially("The king of the people", delay=60)
    durations = playground.page.evaluate(
        "performance.getEntriesByName('forecast').map((entry) => entry.duration)"
    )
    assert len(durations) > 10
    requests = playground.page.evaluate(REQUEST_DURATIONS, model)
    assert statistics.median(durations) < 2 * statistics.median(requests) + TWO_FRAMES


def test_a_continuation_streams_and_reports_its_figures(playground: Playground) -> None:
    """Ctrl+Enter continues; time, speed, cache and seed are shown; a second time goes on."""
    section = playground.open("write", model="shakespeare-char", text="ROMEO:\n")
    section.locator("#write-text").press("Control+Enter")
    playground.wait_until_written()
    figures = section.locator(".figures").inner_text()
    assert "Tokens per second" in figures
    assert "First token" in figures
    assert section.locator(".generated .token").count() == 200
    written = playground.link["text"]
    assert len(written) == len("ROMEO:\n") + 200
    section.locator("button.continue").click()
    playground.wait_until("document.querySelectorAll('.generated .token').length === 400")
    assert playground.link["text"].startswith(written)
    playground.wait_until("/(\\d+) of 207/.test(document.querySelector('.figures').innerText)")


def test_another_alternative_takes_the_place_of_a_token(playground: Playground) -> None:
    """Pointing at a token shows the ten it was drawn from; one of them continues from there."""
    section = playground.open("write", model="english-word", text="The people of the United")
    section.locator("button.continue").click()
    playground.wait_until_written()
    token = section.locator(".generated .token").nth(5)
    token.hover()
    panel = playground.page.locator("#write-panel")
    assert panel.locator("button").count() in {10, 11}
    percentages = panel.locator(".percent").all_inner_texts()
    assert percentages[0].endswith("%")
    choice = panel.locator("button:enabled").nth(1)
    word = choice.locator(".label").inner_text()
    choice.click()
    section.locator(".generated .token.chosen").wait_for()
    assert section.locator(".generated .token").nth(5).inner_text().strip() == word


def test_forks_stand_side_by_side_and_one_is_kept(playground: Playground) -> None:
    """Three continuations of one text; the kept one becomes the text."""
    section = playground.open("write", model="shakespeare-char", text="JULIET:\nO ")
    section.locator("button.fork").click()
    cards = section.locator(".forks article")
    cards.nth(2).wait_for()
    section.locator("button.continue").wait_for()
    texts = cards.locator(".passage").all_inner_texts()
    assert len(set(texts)) == 3
    cards.nth(1).locator("button").click()
    assert cards.count() == 0
    assert section.locator(".generated .token").count() == 200


def test_stop_ends_a_stream(playground: Playground) -> None:
    """The tokens so far stay, no more come, and the text can be edited."""
    page = playground.page
    page.route("**/generate", lambda _: None)  # an answer that never comes
    section = playground.open("write", text="ROMEO:")
    section.locator("button.continue").click()
    section.locator("button.stop").click()
    section.locator("button.continue").wait_for()
    assert section.locator(".notice").inner_text() == ""
