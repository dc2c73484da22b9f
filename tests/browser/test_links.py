"""Links that carry the state of a view, curl lines, and the choice of colors."""

from __future__ import annotations

import pytest

from tests.browser.playground import VIEWS, Playground

pytestmark = pytest.mark.slow

expect = pytest.importorskip("playwright.sync_api").expect


@pytest.mark.parametrize(
    ("view", "parameters", "selector", "value"),
    [
        ("write", {"model": "english-word", "text": "a\nb & c"}, "#write-text", "a\nb & c"),
        ("write", {"temperature": "1.5"}, "#write-temperature", "1.5"),
        ("read", {"color": "unit", "layer": "0", "unit": "244"}, "#read-unit", "244"),
        ("classify", {"model": "user-requests", "text": "hi there"}, "#classify-text", "hi there"),
        ("compare", {"prefix": "The men", "first": "was"}, "#compare-first", "was"),
    ],
)
def test_a_link_carries_the_state_of_a_view(
    playground: Playground, view: str, parameters: dict[str, str], selector: str, value: str
) -> None:
    """What the link names stands in the view, and is in the link of the view again."""
    section = playground.open(view, **parameters)
    expect(section.locator(selector)).to_have_value(value)
    playground.wait_until("location.hash.includes('model=')")
    playground.page.reload()
    expect(section.locator(selector)).to_have_value(value)
    assert parameters.items() <= playground.link.items()


def test_the_theme_button_turns_the_colors_around(playground: Playground) -> None:
    """It wins over the preference of the browser, and is kept."""
    playground.page.emulate_media(color_scheme="light")
    playground.open("models")
    background = "getComputedStyle(document.body).backgroundColor"
    light = playground.page.evaluate(background)
    playground.page.locator("#theme").click()
    dark = playground.page.evaluate(background)
    assert dark != light
    playground.page.reload()
    assert playground.page.evaluate(background) == dark


# The recurrence is computed in the page.
@pytest.mark.parametrize("view", [view for view in VIEWS if view != "recurrence"])
def test_the_curl_line_is_the_request_of_the_view(playground: Playground, view: str) -> None:
    """It names the route, and can be copied."""
    playground.fill(view)
    command = playground.page.locator(f"#view-{view} > details.curl code").inner_text()
    assert command.startswith("curl ")
    assert playground.address in command
