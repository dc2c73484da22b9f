"""The playground as a person handles it: opens a view, reads what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.service.process import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# No test depends on the speed of the machine: only a page that stays wrong fails.
PATIENCE_MS = 60_000

# What each view shows at the end.
READY = {
    "write": ".forecast",
    "classify": ".labels .percent",
    "compare": ".verdict b",
    "unroll": ".network .box",
    "gradient": ".gradient-bars",
    "recurrence": ".gradient-flow polyline",
    "words": ".word-list .card",
    "memory": ".distance-chart polyline",
    "models": ".card",
}
VIEWS = (
    *("write", "read", "classify", "compare", "unroll"),
    *("gradient", "recurrence", "words", "memory", "models"),
)


class Playground:
    """One tab with the page."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.script_errors: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.script_errors.append(str(error)))
        page.on("console", lambda message: self._record(message.type, message.text))

    def _record(self, kind: str, text: str) -> None:
        # the browser also logs statuses like 429, which some tests provoke
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.script_errors.append(text)

    def open(self, view: str, **parameters: str) -> Locator:
        """Loads the page with a link to a view; the section of the view."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#{view}{query}")
        section = self.page.locator(f"#view-{view}")
        section.wait_for(state="visible")
        return section

    def fill(self, view: str) -> None:
        """Opens a view with all that it can show."""
        section = self.open(view)
        if view == "read":
            self.wait_until_read()
            section.locator(".named-units .unit").first.click()
            self.wait_until("document.querySelector('.clamped').textContent !== ''")
        else:
            section.locator(READY[view]).first.wait_for()
        if view == "unroll":
            section.locator(".network .box").first.click()
            section.locator(".arithmetic li").first.wait_for()
        for summary in section.locator("summary:visible").all():
            summary.click()

    @property
    def link(self) -> dict[str, str]:
        """The parameters of the link in the address bar."""
        query = urlsplit(self.page.url).fragment.partition("?")[2]
        return {name: values[0] for name, values in parse_qs(query).items()}

    def wait_until(self, condition: str) -> None:
        """Waits for a JavaScript expression to hold. Playwright's own way needs `eval`, which the
        policy of the page refuses.
        """
        eventually(lambda: bool(self.page.evaluate(condition)), condition)

    def wait_until_read(self) -> None:
        """Waits for the colors and the named units of the view Read."""
        self.page.locator(".reading .token").first.wait_for()
        self.page.locator(".named-units .unit").first.wait_for()

    def wait_until_written(self) -> None:
        """Waits for the end of a continuation in the view Write."""
        self.page.locator(".figures dd").first.wait_for()
