"""POST /inspect: a text as a language model or a classifier reads it, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.http.api_keys import tenant_of
from service.http.dependencies import Context
from service.http.errors import ApiError
from service.http.request_body import JsonRoute
from service.inspection.cancellation import Cancellation
from service.inspection.queries import Clamp, DocumentQuery, TextQuery
from service.routes.error_responses import WORK_ERRORS
from service.routes.inspection.requests import ClampedUnit, InspectRequest
from service.routes.inspection.responses import InspectResponse
from service.routes.inspection.running import respond

router = APIRouter(route_class=JsonRoute, tags=["inspection"])


@router.post(
    "/inspect",
    response_model=InspectResponse,
    response_model_exclude_none=True,
    responses=WORK_ERRORS,
    summary="Look inside a model while it reads",
)
async def inspect(body: InspectRequest, request: Request, context: Context) -> Response:
    """For a language model: each token's surprisal, its likeliest successors, and the activations
    after it. For a classifier: the label's probability as the text is read, and what each token
    contributes to it (integrated gradients). Computed in float32, whatever precision is served.
    """
    name = context.model_name(body.model, "language-model")
    tenant = tenant_of(request)

    def compute(cancellation: Cancellation) -> dict[str, Any]:
        inspectors = context.inspectors()
        if inspectors.is_classifier(name):
            return inspectors.document_fields(name, _document_query(body), cancellation)
        start = inspectors.start(name, body.state, tenant)
        return inspectors.text_fields(name, _text_query(body), start, cancellation)

    return await respond(
        request, context, body, name, compute, cost=float(len(body.text) + 1), texts=[body.text]
    )


def clamps_of(units: Sequence[ClampedUnit]) -> list[Clamp]:
    """The clamped units of a request."""
    return [Clamp(unit.layer, unit.unit, unit.value, unit.signal) for unit in units]


def _text_query(body: InspectRequest) -> TextQuery:
    return TextQuery(
        text=body.text,
        top=body.top,
        layers=body.layers,
        units=body.units,
        gates=body.gates,
        clamps=clamps_of(body.clamp),
        encoding=body.encoding,
    )


def _document_query(body: InspectRequest) -> DocumentQuery:
    for field in ("state", "clamp"):
        if getattr(body, field):
            raise ApiError(422, "invalid_request", f"{field}: not for classifiers", field)
    return DocumentQuery(text=body.text, prefixes=body.prefixes, nearest_change=body.nearest_change)
