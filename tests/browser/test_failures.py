"""Overload, lost connections, keys, and texts that are too long or empty."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.browser.playground import Playground
from tests.support.repository import ROOT
from tests.support.service.process import RunningService

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Route

KEY = "an-api-key-for-this-test"


def test_an_overloaded_service_gets_the_request_again_after_its_time(
    playground: Playground,
) -> None:
    """429: the seconds of Retry-After count down, then the request is sent once more."""
    asked: list[str] = []

    def busy_once(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()
            return
        body = {"error": {"type": "queue_full", "message": "the queue is full", "param": None}}
        route.fulfill(status=429, headers={"Retry-After": "2"}, body=json.dumps(body))

    playground.page.route("**/inspect", busy_once)
    section = playground.open("read")
    section.locator(".notice", has_text="The service is busy. Next try in 2 s.").wait_for()
    playground.wait_until_read()
    assert len(asked) == 2
    assert section.locator(".notice").first.inner_text() == ""


def test_a_wait_can_be_cancelled(playground: Playground) -> None:
    """Cancel ends the countdown; nothing is sent."""
    body = json.dumps({"error": {"type": "queue_full", "message": "full", "param": None}})
    playground.page.route(
        "**/inspect",
        lambda route: route.fulfill(status=429, headers={"Retry-After": "60"}, body=body),
    )
    section = playground.open("read")
    section.locator(".notice button", has_text="Cancel").click()
    assert section.locator(".notice").first.inner_text() == ""


def test_a_lost_connection_can_be_tried_again(playground: Playground) -> None:
    """The notice has a button that sends the request once more."""
    playground.page.route("**/inspect", lambda route: route.abort())
    section = playground.open("read")
    section.locator(".notice", has_text="The connection to the service is lost.").wait_for()
    playground.page.unroute("**/inspect")
    section.locator(".notice button", has_text="Try again").click()
    playground.wait_until_read()


def test_a_key_is_requested_and_kept_in_the_tab(playground: Playground) -> None:
    """401 opens a dialog, also for a wrong key; the right one is kept for the tab alone."""
    page = playground.page
    with RunningService(ROOT / "pretrained", UNROLL_API_KEYS=KEY) as running:
        playground.address = f"http://127.0.0.1:{running.port}/"
        page.goto(f"{playground.address}#read")
        page.locator("#key-dialog").wait_for()
        page.locator("#key-input").fill("not-the-key")
        page.keyboard.press("Enter")
        page.locator("#key-reason", has_text="not valid").wait_for()
        page.locator("#key-input").fill(KEY)
        page.keyboard.press("Enter")
        playground.wait_until_read()
        assert not page.locator("#key-dialog").is_visible()
        playground.open("models").locator(".card").first.wait_for()
        assert page.evaluate("Object.values(sessionStorage)") == [KEY]
        assert page.evaluate("Object.values(localStorage)") == []


def test_the_page_reports_a_missing_key(playground: Playground) -> None:
    """Cancel leaves the reason on the page."""
    page = playground.page
    with RunningService(ROOT / "pretrained" / "sentiment", UNROLL_API_KEYS=KEY) as running:
        page.goto(f"http://127.0.0.1:{running.port}/")
        page.locator("#key-dialog").wait_for()
        page.locator("#key-dialog button", has_text="Cancel").click()
        page.locator("#page-notice", has_text="requires an API key").wait_for()


def test_a_view_reports_a_missing_model(playground: Playground) -> None:
    """A service of classifiers alone has nothing to write with."""
    page = playground.page
    with RunningService(ROOT / "pretrained" / "sentiment") as running:
        page.goto(f"http://127.0.0.1:{running.port}/")
        page.locator("#view-write .notice", has_text="no language-model is loaded").wait_for()


@pytest.mark.parametrize("view", ["read", "classify", "compare"])
def test_empty_texts_are_no_errors(playground: Playground, view: str) -> None:
    """The notice says what to do, and nothing is sent."""
    section = playground.open(view, **({"prefix": " "} if view == "compare" else {"text": " "}))
    if view == "read":  # a space is a text for a model of characters
        section.locator("details.edit summary").click()
        section.locator("#read-text").fill("")
        section.locator(".edit-form button").click()
    section.locator(".notice", has_text="rite").first.wait_for()


def test_empty_text_has_first_words(playground: Playground) -> None:
    """With nothing written, the bars are the words that begin a text."""
    section = playground.open("write", model="english-word", text="")
    section.locator(".forecast-row").first.wait_for()
    assert section.locator(".forecast-row:visible").count() == 9


@pytest.mark.parametrize(("view", "box"), [("read", "#read-text"), ("classify", "#classify-text")])
def test_a_text_that_is_too_long_is_refused_with_its_limit(
    playground: Playground, view: str, box: str
) -> None:
    """The sentence of the service, with the number of tokens it takes."""
    section = playground.open(view)
    if view == "read":
        section.locator("details.edit summary").click()
    section.locator(box).fill("word " * 60_000)
    if view == "read":
        section.locator(".edit-form button").click()
    section.locator(".notice", has_text="token").first.wait_for()
