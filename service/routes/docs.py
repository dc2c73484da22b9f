"""GET /docs: the interface, with examples that can be run, from one page that loads nothing else.

The usual viewers come from a content network and stay blank where there is none.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
_PAGE = Path(__file__).with_name("docs.html")


@router.get("/docs")
def docs() -> HTMLResponse:
    """The page; what it shows it reads from /openapi.json."""
    headers = {"Content-Security-Policy": _POLICY}
    return HTMLResponse(_PAGE.read_text(encoding="utf-8"), headers=headers)


_POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)
