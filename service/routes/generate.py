"""POST /generate: continuations of a prompt, whole or as server-sent events."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.engine.api.tasks import (
    Constraint,
    Echo,
    Event,
    Finished,
    Generate,
    Token,
    TokenLogprob,
)
from service.http.api_keys import client_of, tenant_of
from service.http.dependencies import Context
from service.http.json_response import TaskResponse, array
from service.http.request_body import JsonRoute
from service.http.request_schemas import GenerateRequest
from service.http.schemas import GenerateResponse
from service.http.server_sent_events import EVENT_SCHEMA, EventStream, scored_tokens, to_json_bytes
from service.kernel.api.interface import Sampling
from service.routes.error_responses import WORK_ERRORS

router = APIRouter(route_class=JsonRoute, tags=["language models"])

_STREAM = """Continuations. With `stream`, server-sent events, for each token
`data: {"index", "text", "token"?, "logprob"?, "top"?}`, with `echo` first
`data: {"index", "text", "tokens"?}`, and for each choice at its end
`data: {"index", "finish_reason", "usage", "seed", "state"?}`, where `usage` is of that choice
alone. The texts of a choice join to its whole text. Choices are interleaved. A comment is sent
after a time without events. An error after the status line is the last event,
`data: {"error": ...}`."""

_RANDOM_SEED_BITS = 53  # JavaScript reads larger integers inexactly
_SEEDS = random.Random()  # not secret; the system's generator would release the interpreter's lock
_COLDEST = 1e-6  # lower temperatures are greedy; some clients send 1e-9

_EXAMPLE = (
    'data: {"index":0,"text":" old"}\n\n'
    'data: {"index":0,"finish_reason":"length","usage":{"prompt_tokens":4,"cached_tokens":0,'
    '"completion_tokens":1},"seed":1}\n\n'
)
_DOCUMENTED = {
    "description": _STREAM,
    "content": {
        "text/event-stream": {
            "itemSchema": EVENT_SCHEMA,
            "example": _EXAMPLE,
        }
    },
}


@router.post(
    "/generate",
    response_model=GenerateResponse,
    responses={**WORK_ERRORS, 200: _DOCUMENTED},
    summary="Continue a text",
)
async def generate(body: GenerateRequest, request: Request, context: Context) -> Response:
    """Generate tokens one after the other until the model ends the text, a stop string appears,
    or there are `max_tokens`. The same request with the same seed gives the same text,
    independently of other requests.
    """
    body = context.limits.applied(body)
    task = _task(body, context.model_name(body.model, "language-model"), request)
    if body.stream:
        reply = await context.engine.submit(task)
        return EventStream(reply, ping_seconds=context.settings.ping_seconds)
    reply = await context.engine.submit(task, whole=True)
    return TaskResponse(reply, lambda events: _body(events, task.model, body.n))


def random_seed() -> int:
    """A seed for a request without one."""
    return _SEEDS.getrandbits(_RANDOM_SEED_BITS)


def nearly_greedy(temperature: float) -> float:
    """The temperature, or 0 if it is so low that sampling is greedy."""
    return temperature if temperature >= _COLDEST else 0.0


def _task(body: GenerateRequest, model: str, request: Request) -> Generate:
    return Generate(
        model=model,
        client=client_of(request),
        prompt=body.prompt,
        max_tokens=body.max_tokens,
        sampling=Sampling(
            temperature=nearly_greedy(body.temperature),
            top_k=body.top_k,
            top_p=body.top_p,
            min_p=body.min_p,
            repetition_penalty=body.repetition_penalty,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            logit_bias=body.logit_bias,
            seed=random_seed() if body.seed is None else body.seed,
        ),
        n=body.n,
        stop=tuple(body.stop),
        logprobs=body.logprobs,
        echo=body.echo,
        end=body.end,
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
        tenant=tenant_of(request),
        return_state=body.return_state,
        state=body.state,
        seed_is_given=body.seed is not None,
        constraint=_constraint(body),
    )


def _constraint(body: GenerateRequest) -> Constraint | None:
    if body.regex is not None:
        return Constraint(field="regex", regex=body.regex)
    if body.choices is not None:
        return Constraint(field="choices", choices=tuple(body.choices))
    return None


def _body(events: Iterable[Event], model: str, n: int) -> Iterator[bytes]:
    """The body of a GenerateResponse, in parts. The prompt is counted once for all choices."""
    choices = [_ChoiceWriter(index) for index in range(n)]
    usage = {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0}
    last: dict[str, Any] = {}
    for event in events:
        if not isinstance(event, Echo | Token | Finished):
            raise TypeError(f"unexpected event for /generate: {event!r}")
        choices[event.index].add(event)
        if isinstance(event, Finished):
            usage["prompt_tokens"] = event.prompt_tokens
            if event.index == 0:  # the other choices continue from its state
                usage["cached_tokens"] = event.cached_tokens
                last["seed"] = event.seed
                if event.state is not None:
                    last["state"] = event.state
            usage["completion_tokens"] += event.completion_tokens
    yield b'{"model":' + to_json_bytes(model) + b',"choices":['
    for choice in choices:
        yield b"," if choice.index else b""
        yield from choice.write()
    yield b"]," + to_json_bytes({"usage": usage, **last})[1:]


class _ChoiceWriter:
    """Collects the events of one choice and writes its JSON."""

    def __init__(self, index: int) -> None:
        self.index = index
        self._texts: list[str] = []
        self._tokens: list[TokenLogprob] = []
        self._end: dict[str, Any] = {}

    def add(self, event: Echo | Token | Finished) -> None:
        self._texts.append(event.text)
        if isinstance(event, Finished):
            self._end["finish_reason"] = event.reason
        elif isinstance(event, Echo):
            self._tokens.extend(event.tokens)
        elif event.token is not None:
            self._tokens.append(event.token)

    def write(self) -> Iterator[bytes]:
        fields = {"index": self.index, "text": "".join(self._texts), **self._end}
        yield to_json_bytes(fields)[:-1]
        if self._tokens:
            yield b',"tokens":'
            yield from array(self._tokens, scored_tokens)
        yield b"}"
