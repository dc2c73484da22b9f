"""GET /docs: the API reference, drawn by Swagger UI from /openapi.json.

Swagger UI is served by the service itself, so that the page works without the internet and under
the content security policy of the playground.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.routes.playground import page

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The page."""
    return page("api_reference/index.html", request)
