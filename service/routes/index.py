"""GET /: the playground for browsers, an index in JSON for other clients."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from service.backend.metrics import version
from service.http.dependencies import Context
from service.http.schemas import IndexResponse
from service.routes.playground import page

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index(request: Request, context: Context) -> Response:
    """The playground if ``Accept`` names text/html, as that of every browser does. Otherwise the
    names of the models and the routes.
    """
    if accepts_html(request.headers.get("accept", "")):
        return page("index.html", request)
    body = IndexResponse(
        name="unroll",
        version=version(),
        documentation="/docs",
        models=list(context.registry.artifacts),
        routes=sorted(request.app.openapi()["paths"]),
    )
    return JSONResponse(body.model_dump(), headers={"Vary": "Accept"})


def accepts_html(accept: str) -> bool:
    """Whether text/html is named before application/json. ``*/*`` is not enough: curl sends it."""
    media_types = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if "text/html" not in media_types:
        return False
    html = media_types.index("text/html")
    return "application/json" not in media_types[:html]
