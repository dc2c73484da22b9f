"""GET /docs: the API reference, drawn by Swagger UI from /openapi.json.

Swagger UI is served by the service itself, so that the page works without the internet and under
the content security policy of the playground.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from service.routes.playground import page

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The page. Its addresses are relative, so that it works behind a path prefix; a trailing
    slash is therefore removed by a redirect.
    """
    if request.scope["raw_path"].endswith(b"/"):
        return RedirectResponse("../docs", 308)
    return page("api_reference/index.html", request)
