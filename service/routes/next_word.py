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


@router.post("/next-word", responses=WORK_ERRORS, summary="What comes next")
async def next_word(body: NextWordRequest, request: Request, context: Context) -> NextWordResponse:
    """The probabilities of the next whole word. Word models know them exactly; for character and
    subword models they are summed over the ways to spell a word, found by search: `covered` says
    how much of the probability that has reached.
    """
    context.limits.check(body)
    task = NextWord(
        model=context.name_of(body.model, "language-model"),
        client=client_of(request),
        prompt=body.prompt,
        top=body.top,
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
        tenant=tenant_of(request),
    )
    (found,) = await run_task(context.engine, request, task)
    if not isinstance(found, NextWordsFound):
        raise TypeError(f"not an answer to /next-word: {found!r}")
    return NextWordResponse(
        model=task.model,
        words=[WordProbability(word=w.word, probability=w.probability) for w in found.words],
        covered=found.covered,
        entropy_bits=found.entropy_bits,
    )
