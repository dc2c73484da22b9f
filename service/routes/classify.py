"""POST /classify: labels with calibrated confidence, and what each token contributes."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request

from service.access import client_of
from service.context import Context, ServiceContext
from service.disconnects import ask
from service.engine.tasks import Classification, Classify, TextsClassified
from service.errors import ApiError
from service.limits import check_deadline, check_texts
from service.occlusion import Occlusions, occlusions
from service.request_body import JsonRoute
from service.routes.error_responses import WORK_ERRORS
from service.schemas import (
    ClassifyRequest,
    ClassifyResponse,
    ClassifyResult,
    Contribution,
    LabelScore,
)

router = APIRouter(route_class=JsonRoute, tags=["classifiers"])


@router.post(
    "/classify",
    responses=WORK_ERRORS,
    response_model_exclude_none=True,
    summary="Which label a text has",
)
async def classify(body: ClassifyRequest, request: Request, context: Context) -> ClassifyResponse:
    """The label of each text and how sure the model is of it. With `explain`, what each token
    contributes: the confidence in the label minus the confidence when the token is left out.
    """
    texts = body.all_texts
    check_texts(texts, context.settings)
    check_deadline(body.deadline_ms, context.settings)
    name = context.name_of(body.model, "classifier")
    left_out = _occlusions(texts, name, context) if body.explain else []
    variants = [variant for each in left_out for variant in each.variants]
    task = Classify(
        model=name,
        client=client_of(request),
        texts=(*texts, *variants),
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
    )
    (classified,) = await ask(context.bridge, request, task)
    if not isinstance(classified, TextsClassified):
        raise TypeError(f"not an answer to /classify: {classified!r}")
    labels = context.artifact(name).manifest.answers
    results = [_result(each, labels, body.top) for each in classified.results[: len(texts)]]
    if body.explain:
        _explain(results, left_out, labels, classified.results[len(texts) :])
    return ClassifyResponse(model=name, results=results)


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


def _occlusions(texts: Sequence[str], name: str, context: ServiceContext) -> list[Occlusions]:
    """One for each text. Refuses more tokens than the service explains; raises ApiError 422."""
    settings = context.settings
    places = settings.max_rows + settings.max_waiting - len(texts)  # all are asked in one task
    limit = min(settings.max_explained_tokens, places)
    tokenizer = context.artifact(name).tokenizer
    if sum(map(len, texts)) > limit * 64:  # not worth tokenising to see that it is too long
        raise _too_long(limit)
    found = [occlusions(tokenizer, text) for text in texts]
    if sum(len(each.tokens) for each in found) > limit:
        raise _too_long(limit)
    return found


def _too_long(limit: int) -> ApiError:
    message = f"explain: at most {limit} tokens are explained at once; send less text"
    return ApiError(422, "invalid_request", message, "explain")


def _explain(
    results: Sequence[ClassifyResult],
    left_out: Sequence[Occlusions],
    labels: Sequence[str],
    without: Sequence[Classification],
) -> None:
    """Adds contributions, from the confidence in the same label without each token."""
    remaining = iter(without)
    for result, occluded in zip(results, left_out, strict=True):
        index = labels.index(result.label)
        result.contributions = []
        for token in occluded.tokens:
            contribution = result.confidence - next(remaining).probabilities[index]
            result.contributions.append(Contribution(token=token, contribution=contribution))
