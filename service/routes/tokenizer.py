"""POST /tokenize and /detokenize, GET /tokenizer_info: a model's tokenizer.

The names of routes and fields are those of vLLM, which lm-evaluation-harness asks for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sized
from typing import Annotated, ParamSpec, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.http.api_keys import client_of
from service.http.dependencies import Context, ServiceContext
from service.http.errors import ApiError
from service.http.request_body import JsonRoute
from service.http.request_schemas import DetokenizeRequest, TokenizeRequest
from service.http.schemas import DetokenizeResponse, TokenizeResponse, TokenizerInfoResponse
from service.routes.error_responses import errors

router = APIRouter(route_class=JsonRoute, tags=["language models"])

P = ParamSpec("P")
T = TypeVar("T")
_ERRORS = errors(400, 401, 404, 408, 413, 415, 422, 429)
_QUICK = 4_000  # characters or tokens that take about 1 ms; more go to a thread


@router.post(
    "/tokenize", response_model=TokenizeResponse, responses=_ERRORS, summary="Encode a text"
)
async def tokenize(body: TokenizeRequest, request: Request, context: Context) -> Response:
    """The token ids of a text, with [END] first unless `add_special_tokens` is false."""
    context.limits.check(body)
    name = context.model_name(body.model, "language-model")
    tokenizer = context.artifact(name).tokenizer
    most = context.settings.max_prompt_tokens
    end = tokenizer.name_of(tokenizer.end)
    if body.prompt == end:
        tokens = [tokenizer.end]
    else:
        if tokenizer.at_least(body.prompt) > most:
            raise _too_many("prompt", most)
        try:
            tokens = await _run(request, context, body.prompt, tokenizer.encode, body.prompt, most)
        except ValueError as error:
            raise ApiError(422, "invalid_request", f"prompt: {error}", "prompt") from error
        if len(tokens) > most:
            raise _too_many("prompt", most)
        if body.add_special_tokens:
            tokens = [tokenizer.end, *tokens]
    fields = {"model": name, "count": len(tokens), "max_model_len": most, "tokens": tokens}
    if body.return_token_strs:
        fields["token_strs"] = list(map(tokenizer.name_of, tokens))
    return Response(to_json(fields), media_type="application/json")


@router.post(
    "/detokenize", response_model=DetokenizeResponse, responses=_ERRORS, summary="Decode token ids"
)
async def detokenize(body: DetokenizeRequest, request: Request, context: Context) -> Response:
    """The text of token ids. [END] has no text."""
    context.limits.check(body)
    name = context.model_name(body.model, "language-model")
    tokenizer = context.artifact(name).tokenizer
    most = context.settings.max_prompt_tokens
    if len(body.tokens) > most:
        raise _too_many("tokens", most)
    if max(body.tokens, default=0) >= tokenizer.size:
        message = f"tokens: expected token ids from 0 to {tokenizer.size - 1}"
        raise ApiError(422, "invalid_request", message, "tokens")
    text = await _run(request, context, body.tokens, tokenizer.decode, body.tokens)
    return Response(to_json({"model": name, "prompt": text}), media_type="application/json")


@router.get("/tokenizer_info", responses=errors(401, 404, 422), summary="Describe a tokenizer")
async def tokenizer_info(
    context: Context,
    model: Annotated[
        str | None, Query(description="the default language model if left out")
    ] = None,
) -> TokenizerInfoResponse:
    """A tokenizer: its special tokens and its size."""
    name = context.model_name(model, "language-model")
    tokenizer = context.artifact(name).tokenizer
    end, unknown = tokenizer.name_of(tokenizer.end), tokenizer.unknown
    return TokenizerInfoResponse(
        model=name,
        kind=tokenizer.kind,
        vocab_size=tokenizer.size,
        model_max_length=context.settings.max_prompt_tokens,
        bos_token=end,
        bos_token_id=tokenizer.end,
        eos_token=end,
        eos_token_id=tokenizer.end,
        unk_token=None if unknown is None else tokenizer.name_of(unknown),
        unk_token_id=unknown,
    )


async def _run(
    request: Request,
    context: ServiceContext,
    work: Sized,
    call: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """The result of the call, which is made in a thread if the work is large."""
    if len(work) <= _QUICK:
        return call(*args, **kwargs)
    work_of = functools.partial(call, *args, **kwargs)
    return await context.workers.start(client_of(request), float(len(work)), work_of)


def _too_many(field: str, most: int) -> ApiError:
    message = f"{field}: expected at most {most} tokens"
    return ApiError(422, "invalid_request", message, field)
