"""The service, the browser and a page for each test.

The tests need Playwright for Python and Chromium, and are skipped where one of them is missing.
UNROLL_BROWSER names an executable that is not on the path.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.playground import PATIENCE_MS, Playground
from tests.support.repository import ROOT
from tests.support.service.process import RunningService

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ViewportSize

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs Playwright: pip install 'unroll[browser]'"
)

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LAPTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def pretrained_service() -> Iterator[RunningService]:
    """The service with the models of the repository."""
    with RunningService(ROOT / "pretrained") as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, for one module: Playwright runs an event loop in this thread until it
    stops, and other tests start loops of their own.
    """
    executable = os.environ.get("UNROLL_BROWSER") or next(
        filter(None, map(shutil.which, EXECUTABLES)), None
    )
    if executable is None:
        pytest.skip("needs Chromium on the path, or its executable in UNROLL_BROWSER")
    sync_api.expect.set_options(timeout=PATIENCE_MS)
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def playground(browser: Browser, pretrained_service: RunningService) -> Iterator[Playground]:
    """The page in a context of its own, on a laptop's screen. A failed script fails the test."""
    context = browser.new_context(viewport=LAPTOP, reduced_motion="reduce")
    page = Playground(context.new_page(), f"http://127.0.0.1:{pretrained_service.port}/")
    yield page
    context.close()
    assert page.script_errors == []


@pytest.fixture
def phone(browser: Browser, pretrained_service: RunningService) -> Iterator[Playground]:
    """The page on a phone: a small touch screen, dark."""
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = Playground(context.new_page(), f"http://127.0.0.1:{pretrained_service.port}/")
    yield page
    context.close()
    assert page.script_errors == []
