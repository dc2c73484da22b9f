"""The API reference at /docs: Swagger UI from the service itself, under its policy."""

from __future__ import annotations

import pytest

from tests.browser.playground import Playground
from tests.support.repository import ROOT
from tests.support.service.process import RunningService

pytestmark = pytest.mark.slow


def test_routes_are_listed_and_can_be_tried(
    playground: Playground, pretrained_service: RunningService
) -> None:
    """Every route of the schema is listed, and a request is sent from the page."""
    page = playground.page
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{playground.address}docs")
    page.locator(".opblock").first.wait_for()
    schema = pretrained_service.client.get("/openapi.json").json()
    operations = sum(  # a route is listed below each of its tags
        len(operation["tags"])
        for methods in schema["paths"].values()
        for operation in methods.values()
    )
    assert page.locator(".opblock").count() == operations
    page.locator(".opblock", has_text="/next-word").locator("button").first.click()
    page.locator(".opblock.is-open .execute").click()
    page.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
    assert page.locator(".authorize").count() == 0  # the service has no keys
    own = (playground.address, "data:", "blob:")
    assert [url for url in requests if not url.startswith(own)] == []


def test_a_key_can_be_given(playground: Playground) -> None:
    """With the key of the service, a request from the page is answered; without it, refused."""
    page = playground.page
    key = "an-api-key-for-this-test"
    with RunningService(ROOT / "pretrained" / "sentiment", UNROLL_API_KEYS=key) as running:
        page.goto(f"http://127.0.0.1:{running.port}/docs")
        models = page.locator(".opblock").filter(has=page.locator("[data-path='/models']"))
        models.locator("button").first.click()
        models.locator(".execute").click()
        models.locator(".response-col_status", has_text="401").first.wait_for()
        page.locator(".auth-wrapper .authorize").first.click()
        bearer = page.locator(".auth-container", has_text="bearer").first
        bearer.locator("input").fill(key)
        bearer.locator(".auth-btn-wrapper .authorize").click()
        bearer.locator(".auth-btn-wrapper .btn-done").click()
        models.locator(".execute").click()
        models.locator(".live-responses-table .response-col_status", has_text="200").wait_for()
