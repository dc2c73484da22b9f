"""GET /health/live, /health/ready and /metrics, for the operator."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
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
    if context.processes.siblings is not None:
        context.processes.siblings.check_live()
    return HealthResponse(status="live")


@router.get("/health/ready", responses=errors(503))
async def ready(context: Context) -> HealthResponse:
    """Models are loaded and new work is accepted. Route requests here only while this succeeds."""
    if context.engine.draining:
        raise ApiError(503, "draining", "the service is shutting down and takes no new work")
    if not context.registry.artifacts:
        raise no_model()
    await live(context)
    if context.processes.siblings is not None:
        context.processes.siblings.check_ready()
    return HealthResponse(status="ready")


@router.get("/metrics", include_in_schema=False)
async def metrics(context: Context) -> Response:
    """All series, of all processes. A thread writes them, so that streams are not delayed."""
    siblings = context.processes.siblings
    if siblings is None:
        text = await run_in_threadpool(context.metrics.exposition)
    else:
        text = await siblings.exposition()
    return Response(text, media_type=CONTENT_TYPE_LATEST)
