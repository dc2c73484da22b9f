"""GET /docs: the API reference with runnable examples, from one page that loads nothing else.

docs.html is written for this service because the usual viewers load from a CDN and stay blank
without a network.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
_PAGE = Path(__file__).with_name("docs.html")


@router.get("/docs")
def docs() -> HTMLResponse:
    """The page. It reads /openapi.json."""
    headers = {"Content-Security-Policy": _POLICY}
    return HTMLResponse(_PAGE.read_text(encoding="utf-8"), headers=headers)


_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)
