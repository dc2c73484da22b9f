"""POST /classify: labels with calibrated confidence, and contributions of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.engine.api.tasks import Classification, Classify, Event, TextsClassified
from service.http.api_keys import client_of, tenant_of
from service.http.dependencies import Context, ServiceContext
from service.http.errors import ApiError
from service.http.json_response import TaskResponse
from service.http.occlusion import Occlusions, all_occlusions
from service.http.request_body import JsonRoute
from service.http.request_schemas import ClassifyRequest
from service.http.schemas import ClassifyResponse
from service.routes.error_responses import WORK_ERRORS

router = APIRouter(route_class=JsonRoute, tags=["classifiers"])


@router.post(
    "/classify",
    response_model=ClassifyResponse,
    responses=WORK_ERRORS,
    summary="The label of a text",
)
async def classify(body: ClassifyRequest, request: Request, context: Context) -> Response:
    """The label of each text and its confidence; a multi-label model also gives `labels`, those
    whose probability reaches their threshold. With `explain`, the contribution of each token:
    the confidence in the label minus the confidence without the token. With `return_state` and
    `state`, a document grows: each request reads the new text alone.
    """
    context.limits.check(body)
    if body.explain:
        _check_whole_documents(body)
    texts = body.all_texts
    name = context.model_name(body.model, "classifier")
    occlusions = await _occlusions(texts, name, request, context) if body.explain else []
    variants = [variant for text in occlusions for variant in text.variants]
    task = Classify(
        model=name,
        client=client_of(request),
        texts=(*texts, *variants),
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
        tenant=tenant_of(request),
        return_state=body.return_state,
        state=body.state,
    )
    context.artifact(name)  # a 404 if there is none
    reply = await context.engine.submit(task, whole=True)
    return TaskResponse(reply, lambda events: _body(events, name, len(texts), body, occlusions))


def _body(
    events: Sequence[Event],
    model: str,
    texts: int,
    body: ClassifyRequest,
    occlusions: Sequence[Occlusions],
) -> Iterator[bytes]:
    """The body of a ClassifyResponse, in parts."""
    (classified,) = events
    if not isinstance(classified, TextsClassified):
        raise TypeError(f"unexpected event for /classify: {classified!r}")
    labels = classified.labels  # of the version of the model that has classified
    without = iter(classified.results[texts:])
    yield b'{"model":' + to_json(model) + b',"results":['
    for index, classification in enumerate(classified.results[:texts]):
        result = _result(classification, classified, body.top)
        if body.explain:
            _explain(result, occlusions[index].tokens, labels, without)
        yield (b"," if index else b"") + to_json(result)
    yield b"]}"


def _result(
    classification: Classification, classified: TextsClassified, top: int | None
) -> dict[str, Any]:
    """The fields of a ClassifyResult. A model of them would validate what is known to be valid."""
    pairs = zip(classified.labels, classification.probabilities, strict=True)
    ranked = sorted(pairs, key=lambda pair: pair[1], reverse=True)
    label, confidence = ranked[0]
    result: dict[str, Any] = {
        "label": label,
        "confidence": confidence,
        "scores": [{"label": label, "score": score} for label, score in ranked[:top]],
        "token_count": classification.token_count,
        "unknown_tokens": classification.unknown_tokens,
        "truncated": classification.truncated,
    }
    if classified.thresholds is not None:
        threshold_of = dict(zip(classified.labels, classified.thresholds, strict=True))
        result["labels"] = [label for label, score in ranked if score >= threshold_of[label]]
    if classification.state is not None:
        result["state"] = classification.state
    return result


async def _occlusions(
    texts: Sequence[str], name: str, request: Request, context: ServiceContext
) -> list[Occlusions]:
    """The occlusions of each text. Raises ApiError 422 if they exceed the limits."""
    settings = context.settings
    slots = settings.max_rows + settings.max_waiting - len(texts)  # all variants are one task
    most = min(settings.max_explained_tokens, slots)
    tokenizer = context.artifact(name).tokenizer
    if sum(map(len, texts)) > most * 64:  # too long for any tokenizer: do not encode it
        raise _too_long(most)
    cost = float(sum(map(len, texts)))
    occlusions = await context.workers.start(
        client_of(request), cost, all_occlusions, tokenizer, texts, most
    )
    if context.artifact(name).tokenizer is not tokenizer:  # another version has taken over
        return await _occlusions(texts, name, request, context)
    if sum(len(text.tokens) for text in occlusions) > most:
        raise _too_long(most)
    work = sum(sum(map(len, text.variants)) for text in occlusions)
    if work > settings.max_explained_work:
        raise _too_much(work, settings.max_explained_work)
    return occlusions


def _check_whole_documents(body: ClassifyRequest) -> None:
    for field in ("state", "return_state"):
        if getattr(body, field):
            message = f"{field}: expected a request without it, since explain is set"
            raise ApiError(422, "invalid_request", message, field)


def _too_long(limit: int) -> ApiError:
    message = f"explain: expected at most {limit} tokens in all; send less text"
    return ApiError(422, "invalid_request", message, "explain")


def _too_much(work: int, limit: int) -> ApiError:
    message = (
        f"explain: each text is read once for each of its tokens, at most {limit} tokens in all; "
        f"this request takes {work}; send shorter texts"
    )
    return ApiError(422, "invalid_request", message, "explain")


def _explain(
    result: dict[str, Any],
    tokens: Sequence[str],
    labels: Sequence[str],
    without: Iterator[Classification],
) -> None:
    """Add contributions, from the confidence in the same label without each token."""
    index, confidence = labels.index(result["label"]), result["confidence"]
    result["contributions"] = [
        {"token": token, "contribution": confidence - next(without).probabilities[index]}
        for token in tokens
    ]
