"""POST /next-word: the likeliest next whole words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.engine.api.tasks import Event, NextWord, NextWordsFound, Word
from service.http.api_keys import client_of, tenant_of
from service.http.dependencies import Context
from service.http.json_response import TaskResponse
from service.http.request_body import JsonRoute
from service.http.request_schemas import NextWordRequest
from service.http.schemas import NextWordResponse
from service.routes.error_responses import WORK_ERRORS

router = APIRouter(route_class=JsonRoute, tags=["language models"])


@router.post(
    "/next-word",
    response_model=NextWordResponse,
    responses=WORK_ERRORS,
    summary="The next word",
)
async def next_word(body: NextWordRequest, request: Request, context: Context) -> Response:
    """The probabilities of the next whole word. For word models they are exact. For character
    and subword models they are sums over the spellings of a word, found by search: `covered` is
    the probability that the search has reached.
    """
    context.limits.check(body)
    task = NextWord(
        model=context.model_name(body.model, "language-model"),
        client=client_of(request),
        prompt=body.prompt,
        top=body.top,
        end=body.end,
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
        tenant=tenant_of(request),
    )
    reply = await context.engine.submit(task, whole=True)
    return TaskResponse(reply, lambda events: _body(events, task.model))


def _body(events: Sequence[Event], model: str) -> Iterator[bytes]:
    """The body of a NextWordResponse."""
    (found,) = events
    if not isinstance(found, NextWordsFound):
        raise TypeError(f"unexpected event for /next-word: {found!r}")
    fields: dict[str, Any] = {
        "model": model,
        "words": [_fields(word) for word in found.words],
        "covered": found.covered,
        "entropy_bits": found.entropy_bits,
    }
    if found.end is not None:
        fields["end"] = found.end
    yield to_json(fields)


def _fields(word: Word) -> dict[str, str | float]:
    completion = {} if word.completion is None else {"completion": word.completion}
    return {"word": word.word, **completion, "probability": word.probability}
