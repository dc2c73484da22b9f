"""POST /next-word: the likeliest next whole words."""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.engine.api.tasks import NextWord, NextWordsFound
from service.http.api_keys import client_of, tenant_of
from service.http.cancellation import run_task
from service.http.dependencies import Context
from service.http.request_body import JsonRoute
from service.http.request_schemas import NextWordRequest
from service.http.schemas import NextWordResponse, WordProbability
from service.routes.error_responses import WORK_ERRORS

router = APIRouter(route_class=JsonRoute, tags=["language models"])


@router.post(
    "/next-word",
    responses=WORK_ERRORS,
    summary="The next word",
    response_model_exclude_none=True,
)
async def next_word(body: NextWordRequest, request: Request, context: Context) -> NextWordResponse:
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
    (event,) = await run_task(context.engine, request, task)
    if not isinstance(event, NextWordsFound):
        raise TypeError(f"unexpected event for /next-word: {event!r}")
    return NextWordResponse(
        model=task.model,
        words=[
            WordProbability(
                word=word.word, completion=word.completion, probability=word.probability
            )
            for word in event.words
        ],
        covered=event.covered,
        entropy_bits=event.entropy_bits,
        end=event.end,
    )
