"""GET /health/live, /health/ready and /metrics, for the operator."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from service.http.dependencies import Context, no_model
from service.http.errors import ApiError
from service.http.schemas import HealthResponse
from service.routes.error_responses import errors

router = APIRouter(tags=["operation"])


@router.get("/health/live", responses=errors(503))
async def live(context: Context) -> HealthResponse:
    """The step loop moves. Restart the process if this fails."""
    age = context.engine.heartbeat_age()
    if age > context.settings.heartbeat_seconds:
        message = f"the step loop has not moved for {age:.1f} seconds"
        raise ApiError(503, "not_live", message)
    return HealthResponse(status="live")


@router.get("/health/ready", responses=errors(503))
async def ready(context: Context) -> HealthResponse:
    """Models are loaded and new work is accepted. Route requests here only while this succeeds."""
    if context.engine.draining:
        raise ApiError(503, "draining", "the service is shutting down and takes no new work")
    if not context.registry.artifacts:
        raise no_model()
    await live(context)
    return HealthResponse(status="ready")


@router.get("/metrics", include_in_schema=False)
def metrics(context: Context) -> Response:
    """All series. Not async, so that writing them runs in a thread and does not delay streams."""
    return Response(context.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
