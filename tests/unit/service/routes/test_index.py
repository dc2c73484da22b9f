"""Who gets the page at ``/`` and who gets the index in JSON."""

import pytest

from service.routes.index import accepts_html

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (BROWSER, True),
        ("Text/HTML", True),
        ("text/html;q=0.9, application/json;q=0.5", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/htmlx", False),
    ],
)
def test_only_who_names_html_gets_html(accept: str, expected: bool) -> None:
    """Browsers name text/html; curl and HTTP libraries send */* or nothing."""
    assert accepts_html(accept) is expected
