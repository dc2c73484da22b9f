"""POST /v1/completions: continuations, by the OpenAI protocol."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.backend.metrics import version
from service.engine.api.tasks import Constraint, Generate
from service.http.api_keys import client_of, tenant_of
from service.http.dependencies import Context, ServiceContext
from service.http.errors import ApiError
from service.http.json_response import TaskResponse
from service.http.openai.request_schemas import CompletionRequest
from service.http.openai.schemas import CompletionResponse
from service.http.request_body import JsonRoute
from service.http.server_sent_events import EVENT_SCHEMA, EventStream
from service.kernel.api.interface import Sampling
from service.routes.generate import nearly_greedy, random_seed
from service.routes.openai.completion_format import CompletionHeader, completion_json
from service.routes.openai.completion_stream import CompletionStream
from service.routes.openai.error_responses import OPENAI_ERRORS

router = APIRouter(route_class=JsonRoute, tags=["OpenAI protocol"])

_SEED_MASK = 2**64 - 1  # negative seeds are the upper half
_DOCUMENTED = {
    "description": "Continuations. With `stream`, server-sent events: the same object with the "
    "new text, then `data: [DONE]`, also after an error.",
    "content": {"text/event-stream": {"itemSchema": EVENT_SCHEMA}},
}


@router.post(
    "/v1/completions",
    response_model=CompletionResponse,
    responses={**OPENAI_ERRORS, 200: _DOCUMENTED},
    summary="Continue texts, by the OpenAI protocol",
)
async def completions(body: CompletionRequest, request: Request, context: Context) -> Response:
    """Continue each prompt. A text is read after [END], which opens every text in training; token
    ids are read as they are. The same request with the same seed gives the same text.
    """
    _check(body, context)
    model = context.model_name(body.model, "language-model")
    task = _task(body, model, request)
    header = CompletionHeader(
        model, f"unroll-{version()}-{context.artifact(model).manifest.version}"
    )
    if body.stream:
        reply = await context.engine.submit(task)
        return EventStream(
            reply,
            ping_seconds=context.settings.ping_seconds,
            protocol=CompletionStream(header, body),
        )
    reply = await context.engine.submit(task, whole=True)
    logprobs = body.logprobs is not None
    return TaskResponse(
        reply,
        lambda events: completion_json(events, header, n=body.n, best_of=task.n, logprobs=logprobs),
    )


def _check(body: CompletionRequest, context: ServiceContext) -> None:
    """Raises ApiError for fields that contradict each other or the operator's bounds."""
    body = context.limits.applied(body)
    most = context.limits.values["texts"]
    if len(body.prompt) > most:
        raise _invalid("prompt", f"expected at most {most} prompts, got {len(body.prompt)}")
    best_of = body.n if body.best_of is None else body.best_of
    if best_of < body.n:
        raise _invalid("best_of", f"expected at least n ({body.n}), got {best_of}")
    if best_of > body.n and body.stream:
        raise _invalid("best_of", "expected no more than n with stream")
    if body.stream_options is not None and not body.stream:
        raise _invalid("stream_options", "expected only with stream")
    if len(body.constraints) > 1:
        fields = " and ".join(constraint.field for constraint in body.constraints)
        raise _invalid(body.constraints[1].field, f"expected one constraint, got {fields}")
    if body.max_tokens == 0 and not body.echo:
        raise _invalid("max_tokens", "expected 1 or more without echo")


def _invalid(param: str, message: str) -> ApiError:
    return ApiError(422, "invalid_request", f"{param}: {message}", param)


def _task(body: CompletionRequest, model: str, request: Request) -> Generate:
    best_of = body.n if body.best_of is None else body.best_of
    logprobs = body.logprobs
    if logprobs is None and best_of > body.n:  # needed to compare the choices
        logprobs = 0
    prompt, *more = body.prompt
    return Generate(
        model=model,
        client=client_of(request),
        prompt=prompt,
        more_prompts=tuple(more),
        max_tokens=body.max_tokens,
        sampling=Sampling(
            temperature=nearly_greedy(body.temperature),
            top_k=max(body.top_k, 0),
            top_p=body.top_p,
            min_p=body.min_p,
            repetition_penalty=body.repetition_penalty,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            logit_bias=body.logit_bias,
            seed=random_seed() if body.seed is None else body.seed & _SEED_MASK,
        ),
        n=best_of,
        stop=tuple(body.stop),
        logprobs=logprobs,
        echo=body.echo,
        detailed=True,
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
        tenant=tenant_of(request),
        constraint=_constraint(body),
    )


def _constraint(body: CompletionRequest) -> Constraint | None:
    for field, regex, choices in body.constraints:
        return Constraint(field=field, regex=regex, choices=tuple(choices or ()))
    return None
