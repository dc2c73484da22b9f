"""POST /admin/reload: compares the folder of models with the served ones, for the operator."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from service.http.dependencies import Context
from service.http.errors import ApiError

router = APIRouter(include_in_schema=False)


@router.post("/admin/reload")
async def reload(request: Request, context: Context) -> dict[str, Any]:
    """Load new and changed models, remove those without an artifact, and report what was done.

    Changes are taken over at once, also those of files that have just been written.
    """
    context.admin.check(request)
    if context.engine.draining:
        raise ApiError(503, "draining", "the service is shutting down and loads no models")
    siblings = context.processes.siblings
    if siblings is None:
        report = await context.updates.update(at_once=True)
    else:
        report = await siblings.reload()
    if report.error is not None:
        raise ApiError(500, "folder_unreadable", report.error)
    return {
        "loaded": report.loaded,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "refused": [{"name": name, "reason": why} for name, why in report.refused.items()],
    }
