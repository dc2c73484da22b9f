"""axe in every view, light and dark, and the keyboard alone."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.browser.playground import VIEWS, Playground
from tests.support.repository import ROOT

pytestmark = pytest.mark.slow

AXE = ROOT / "tests" / "browser" / "vendor" / "axe-core"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(playground: Playground) -> list[str]:
    """What axe finds: the rule and the first element that breaks it."""
    playground.page.evaluate((AXE / "axe.min.js").read_text(encoding="utf-8"))
    result: dict[str, Any] = playground.page.evaluate(
        "(tags) => axe.run(document, { runOnly: tags })", WCAG
    )
    return [
        f"{violation['id']}: {violation['nodes'][0]['html'][:160]} "
        f"{violation['nodes'][0]['failureSummary']}"
        for violation in result["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(playground: Playground, view: str, scheme: Any) -> None:
    """No violation of WCAG 2.2 AA nor of axe's best practices."""
    playground.page.emulate_media(color_scheme=scheme)
    playground.fill(view)
    assert violations(playground) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_panels_and_forks(playground: Playground, scheme: Any) -> None:
    """Generated tokens, the panel of alternatives, surprisal with its panel, the key dialog."""
    playground.page.emulate_media(color_scheme=scheme)
    section = playground.open("write", text="ROMEO:\n")
    section.locator("button.continue").click()
    playground.wait_until_written()
    section.locator(".generated .token").nth(3).hover()
    playground.page.locator("#write-panel").wait_for()
    assert violations(playground) == []
    section.locator("button.fork").click()
    section.locator(".forks article").first.wait_for()
    assert violations(playground) == []
    playground.open("read")
    playground.wait_until_read()
    playground.page.locator(".reading .token").nth(9).hover()
    playground.page.locator("#read-panel").wait_for()
    assert violations(playground) == []
    playground.page.evaluate("document.querySelector('#key-dialog').showModal()")
    assert violations(playground) == []


def test_axe_is_the_file_that_was_published() -> None:
    """The vendored file has the digest that stands beside it."""
    for line in (AXE / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((AXE / name).read_bytes()).hexdigest() == digest, name


def test_the_keyboard_alone_writes_and_changes_a_token(playground: Playground) -> None:
    """From the text by Tab to the generated tokens, by arrow keys along them, by a digit onward."""
    section = playground.open("write", text="ROMEO:\n")
    keyboard = playground.page.keyboard
    section.locator(".forecast").wait_for()
    assert playground.page.evaluate("document.activeElement.id") == "write-text"
    keyboard.press("Control+Enter")
    playground.wait_until_written()
    before = playground.link["text"]
    keyboard.press("Tab")
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    assert playground.page.evaluate("document.activeElement.dataset.index") == "2"
    playground.page.locator("#write-panel").wait_for()
    current = section.locator(".generated .token").nth(2).inner_text()
    labels = playground.page.locator("#write-panel .label").all_inner_texts()
    keyboard.press("2" if labels[1] != current else "1")
    section.locator(".generated .token.chosen").wait_for()
    assert playground.link["text"][:9] == before[:9]
    assert playground.link["text"][9] != before[9]


def test_tab_leaves_the_text_after_escape(playground: Playground) -> None:
    """Tab takes a word while the list is shown; Escape hides it, and Tab moves on."""
    section = playground.open("write", text="ROMEO:\nMy lo")
    section.locator(".forecast").wait_for()
    playground.page.keyboard.press("Escape")
    playground.page.keyboard.press("Tab")
    assert playground.page.evaluate("document.activeElement.textContent") == "Continue"
    assert section.locator("#write-text").input_value() == "ROMEO:\nMy lo"


def test_the_map_is_read_with_arrow_keys(playground: Playground) -> None:
    """The readout follows; Enter colors the text by the unit."""
    section = playground.open("read")
    playground.wait_until_read()
    section.locator("canvas").focus()
    for _ in range(3):
        playground.page.keyboard.press("ArrowDown")
    playground.page.keyboard.press("ArrowRight")
    assert "layer 0, unit 3" in section.locator(".map-readout").inner_text()
    playground.page.keyboard.press("Enter")
    assert playground.link["unit"] == "3"
