"""POST /classify: labels with calibrated confidence, and what each token contributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.engine.api.tasks import Classification, Classify, Event, TextsClassified
from service.http.api_keys import client_of
from service.http.dependencies import Context, ServiceContext
from service.http.errors import ApiError
from service.http.json_response import TaskResponse
from service.http.occlusion import Occlusions, all_occlusions
from service.http.request_body import JsonRoute
from service.http.request_schemas import ClassifyRequest
from service.http.schemas import ClassifyResponse, ClassifyResult, Contribution, LabelScore
from service.routes.error_responses import WORK_ERRORS

router = APIRouter(route_class=JsonRoute, tags=["classifiers"])


@router.post(
    "/classify",
    response_model=ClassifyResponse,
    responses=WORK_ERRORS,
    summary="Which label a text has",
)
async def classify(body: ClassifyRequest, request: Request, context: Context) -> Response:
    """The label of each text and how sure the model is of it. With `explain`, what each token
    contributes: the confidence in the label minus the confidence when the token is left out.
    """
    context.limits.check(body)
    texts = body.all_texts
    name = context.name_of(body.model, "classifier")
    left_out = await _occlusions(texts, name, context) if body.explain else []
    variants = [variant for each in left_out for variant in each.variants]
    task = Classify(
        model=name,
        client=client_of(request),
        texts=(*texts, *variants),
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
    )
    labels = context.artifact(name).manifest.answers
    reply = await context.engine.submit(task, whole=True)
    return TaskResponse(
        reply, lambda events: _answer(events, name, labels, len(texts), body, left_out)
    )


def _answer(
    events: Sequence[Event],
    model: str,
    labels: Sequence[str],
    texts: int,
    body: ClassifyRequest,
    left_out: Sequence[Occlusions],
) -> Iterator[bytes]:
    """The body of a ClassifyResponse, in parts."""
    (classified,) = events
    if not isinstance(classified, TextsClassified):
        raise TypeError(f"not an answer to /classify: {classified!r}")
    without = iter(classified.results[texts:])
    yield b'{"model":' + to_json(model) + b',"results":['
    for index, found in enumerate(classified.results[:texts]):
        result = _result(found, labels, body.top)
        if body.explain:
            _explain(result, left_out[index].tokens, labels, without)
        yield (b"," if index else b"") + result.model_dump_json(exclude_none=True).encode()
    yield b"]}"


def _result(found: Classification, labels: Sequence[str], top: int | None) -> ClassifyResult:
    pairs = zip(labels, found.probabilities, strict=True)
    ranked = sorted(pairs, key=lambda pair: pair[1], reverse=True)
    label, confidence = ranked[0]
    return ClassifyResult(
        label=label,
        confidence=confidence,
        scores=[LabelScore(label=label, score=score) for label, score in ranked[:top]],
        token_count=found.token_count,
        truncated=found.truncated,
    )


async def _occlusions(texts: Sequence[str], name: str, context: ServiceContext) -> list[Occlusions]:
    """One for each text. Refuses more than the service explains; raises ApiError 422."""
    settings = context.settings
    places = settings.max_rows + settings.max_waiting - len(texts)  # all are asked in one task
    most = min(settings.max_explained_tokens, places)
    tokenizer = context.artifact(name).tokenizer
    if sum(map(len, texts)) > most * 64:  # not worth encoding to see that it is too long
        raise _too_long(most)
    found = await context.workers.start(all_occlusions, tokenizer, texts, most)
    if sum(len(each.tokens) for each in found) > most:
        raise _too_long(most)
    work = sum(sum(map(len, each.variants)) for each in found)
    if work > settings.max_explained_work:
        raise _too_much(work, settings.max_explained_work)
    return found


def _too_long(limit: int) -> ApiError:
    message = f"explain: at most {limit} tokens are explained at once; send less text"
    return ApiError(422, "invalid_request", message, "explain")


def _too_much(work: int, limit: int) -> ApiError:
    message = (
        f"explain: reads each text once for each of its tokens, at most {limit} tokens in all; "
        f"this takes {work}; send shorter texts"
    )
    return ApiError(422, "invalid_request", message, "explain")


def _explain(
    result: ClassifyResult,
    tokens: Sequence[str],
    labels: Sequence[str],
    without: Iterator[Classification],
) -> None:
    """Adds contributions, from the confidence in the same label without each token."""
    index = labels.index(result.label)
    result.contributions = []
    for token in tokens:
        contribution = result.confidence - next(without).probabilities[index]
        result.contributions.append(Contribution(token=token, contribution=contribution))
