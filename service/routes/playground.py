"""GET /playground/...: the scripts, styles and images of the pages for browsers."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

import service.playground
from service.playground.static_files import StaticFiles

router = APIRouter(include_in_schema=False)
_FILES = StaticFiles(Path(service.playground.__path__[0]))


def page(name: str, request: Request) -> Response:
    """A page of the playground's directory."""
    response = _FILES.response(name, request.headers)
    if response is None:
        raise HTTPException(404)
    return response


@router.get("/playground/{path:path}")
async def playground_file(path: str, request: Request) -> Response:
    """One file of the pages."""
    return page(path, request)
