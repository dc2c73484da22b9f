"""POST /score: how likely texts are, token by token."""

from __future__ import annotations

import math

from fastapi import APIRouter, Request

from service.access import client_of
from service.context import Context
from service.disconnects import ask
from service.engine.tasks import Score, TextsScored
from service.engine.tasks import TextScore as EngineScore
from service.limits import check_deadline, check_texts
from service.request_body import JsonRoute
from service.routes.error_responses import WORK_ERRORS
from service.schemas import ScoredToken, ScoreRequest, ScoreResponse, TextScore

router = APIRouter(route_class=JsonRoute, tags=["language models"])


@router.post(
    "/score",
    responses=WORK_ERRORS,
    response_model_exclude_none=True,
    summary="How likely a text is",
)
async def score(body: ScoreRequest, request: Request, context: Context) -> ScoreResponse:
    """The log-probability of each token given those before it, read from the beginning of a text.
    The text's end is not counted: what is scored may be the beginning of something longer.
    """
    check_texts(body.texts, context.settings)
    check_deadline(body.deadline_ms, context.settings)
    task = Score(
        model=context.name_of(body.model, "language-model"),
        client=client_of(request),
        texts=tuple(body.texts),
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
    )
    (scored,) = await ask(context.bridge, request, task)
    if not isinstance(scored, TextsScored):
        raise TypeError(f"not an answer to /score: {scored!r}")
    results = [_result(*pair) for pair in zip(task.texts, scored.scores, strict=True)]
    return ScoreResponse(model=task.model, results=results)


def _result(text: str, scored: EngineScore) -> TextScore:
    """Perplexity is per token, as the literature has it; bits per byte compares tokenizers."""
    nats = -scored.logprob
    return TextScore(
        tokens=[ScoredToken(text=token.text, logprob=token.logprob) for token in scored.tokens],
        logprob=scored.logprob,
        perplexity=math.exp(min(nats / max(1, len(scored.tokens)), 700.0)),
        bits_per_byte=nats / math.log(2) / len(text.encode("utf-8")),
        unknown_tokens=scored.unknown_tokens,
    )
