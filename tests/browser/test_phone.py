"""The page on a phone: a small screen and fingers."""

from __future__ import annotations

import pytest

from tests.browser.playground import VIEWS, Playground

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("view", VIEWS)
def test_a_phone_shows_the_whole_width(phone: Playground, view: str) -> None:
    """Nothing is wider than the screen, and no keyboard opens by itself."""
    phone.fill(view)
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.page.evaluate("document.activeElement.id") != "write-text"


def test_a_tap_shows_the_successors_of_a_token(phone: Playground) -> None:
    """The panel stays after the finger has left, and a tap elsewhere closes it."""
    phone.open("read")
    phone.wait_until_read()
    panel = phone.page.locator("#read-panel")
    phone.page.locator(".reading .token").nth(8).tap()
    phone.page.wait_for_timeout(500)
    assert panel.is_visible()
    phone.page.locator("#read-title").tap()
    panel.wait_for(state="hidden")


def test_a_tap_takes_a_word_and_another_token(phone: Playground) -> None:
    """Next words and alternatives are buttons for fingers as well."""
    section = phone.open("write", model="shakespeare-char", text="ROMEO:\nMy lo")
    section.locator(".forecast-row").first.tap()
    phone.wait_until("document.querySelector('#write-text').value.endsWith('My lord ')")
    section.locator("button.continue").tap()
    phone.wait_until_written()
    section.locator(".generated .token").nth(4).tap()
    phone.page.wait_for_timeout(500)
    phone.page.locator("#write-panel button:enabled").first.tap()
    section.locator(".generated .token.chosen").wait_for()


def test_a_stroke_over_the_map_marks_tokens(phone: Playground) -> None:
    """A horizontal stroke brushes; the page does not scroll sideways."""
    section = phone.open("read")
    phone.wait_until_read()
    section.locator("canvas").scroll_into_view_if_needed()
    box = section.locator("canvas").bounding_box()
    assert box is not None
    session = phone.page.context.new_cdp_session(phone.page)
    y = box["y"] + 60
    points = [box["x"] + share * box["width"] for share in (0.1, 0.2, 0.3, 0.4)]
    for kind, x in zip(("touchStart", "touchMove", "touchMove", "touchMove"), points, strict=True):
        touch = {"type": kind, "touchPoints": [{"x": x, "y": y}]}
        session.send("Input.dispatchTouchEvent", touch)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    section.locator(".brushed .unit").first.wait_for()
