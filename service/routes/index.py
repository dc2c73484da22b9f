"""GET /: the entry point."""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.backend.metrics import version
from service.http.dependencies import Context
from service.http.schemas import IndexResponse

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index(request: Request, context: Context) -> IndexResponse:
    """The models, the routes and the documentation."""
    return IndexResponse(
        name="unroll",
        version=version(),
        documentation="/docs",
        models=list(context.registry.artifacts),
        routes=sorted(request.app.openapi()["paths"]),
    )
