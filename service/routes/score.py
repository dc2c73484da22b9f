"""POST /score: the log-probabilities of texts, token by token."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.engine.api.tasks import Event, Score, TextLogprobs, TextsScored, TokenLogprob
from service.http.api_keys import client_of
from service.http.dependencies import Context
from service.http.json_response import TaskResponse, array
from service.http.request_body import JsonRoute
from service.http.request_schemas import ScoreRequest
from service.http.schemas import ScoreResponse
from service.routes.error_responses import WORK_ERRORS

router = APIRouter(route_class=JsonRoute, tags=["language models"])


@router.post(
    "/score",
    response_model=ScoreResponse,
    responses=WORK_ERRORS,
    summary="The likelihood of a text",
)
async def score(body: ScoreRequest, request: Request, context: Context) -> Response:
    """The log-probability of each token given the tokens before it, from the beginning of the
    text. The end of the text is not counted, since a text may be the beginning of a longer one,
    unless `end` is set.
    """
    context.limits.check(body)
    task = Score(
        model=context.model_name(body.model, "language-model"),
        client=client_of(request),
        texts=tuple(body.texts),
        end=body.end,
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
    )
    reply = await context.engine.submit(task, whole=True)
    return TaskResponse(reply, lambda events: _body(events, task))


def _body(events: Sequence[Event], task: Score) -> Iterator[bytes]:
    """The body of a ScoreResponse, in parts."""
    (scored,) = events
    if not isinstance(scored, TextsScored):
        raise TypeError(f"unexpected event for /score: {scored!r}")
    yield b'{"model":' + to_json(task.model) + b',"results":['
    for index, (text, text_score) in enumerate(zip(task.texts, scored.scores, strict=True)):
        yield b"," if index else b""
        yield from _result(text, text_score)
    yield b"]}"


def _result(text: str, scored: TextLogprobs) -> Iterator[bytes]:
    """One result. Perplexity is per token; bits per byte compares tokenizers."""
    nats = -scored.logprob
    yield b'{"tokens":'
    yield from array(scored.tokens, _tokens)
    predictions = len(scored.tokens) + (scored.end is not None)
    metrics = {
        **({} if scored.end is None else {"end_logprob": scored.end}),
        "logprob": scored.logprob,
        "perplexity": math.exp(min(nats / max(1, predictions), 700.0)),
        "bits_per_byte": nats / math.log(2) / len(text.encode("utf-8")),
        "unknown_tokens": scored.unknown_tokens,
        **({"note": _unknown_note(scored.unknown_tokens)} if scored.unknown_tokens else {}),
    }
    yield b"," + to_json(metrics, inf_nan_mode="null")[1:]


def _tokens(tokens: Sequence[TokenLogprob]) -> bytes:
    fields = [
        {
            "text": token.text,
            "logprob": token.logprob,
            **({"unknown": True} if token.unknown else {}),
        }
        for token in tokens
    ]
    return to_json(fields, inf_nan_mode="null")


def _unknown_note(count: int) -> str:
    words = "1 word is" if count == 1 else f"{count} words are"
    return (
        f"{words} outside the vocabulary and scored as any unknown word would be, so the text "
        "looks too likely: compare it only with texts that have the same unknown words"
    )
