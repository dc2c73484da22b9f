"""POST /v1/embeddings: a vector for each input, by the OpenAI protocol."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.engine.api.tasks import Embed, Embedding, Event
from service.http.api_keys import client_of
from service.http.dependencies import Context, ServiceContext
from service.http.errors import ApiError
from service.http.json_response import TaskResponse
from service.http.openai.request_schemas import EmbeddingsRequest
from service.http.openai.schemas import EmbeddingsResponse
from service.http.request_body import JsonRoute
from service.routes.embed import embedding_model, embeddings_of, vector
from service.routes.openai.error_responses import OPENAI_ERRORS

router = APIRouter(route_class=JsonRoute, tags=["OpenAI protocol"])


@router.post(
    "/v1/embeddings",
    response_model=EmbeddingsResponse,
    responses=OPENAI_ERRORS,
    summary="Vectors of texts, by the OpenAI protocol",
)
async def embeddings(body: EmbeddingsRequest, request: Request, context: Context) -> Response:
    """A vector for each input, of length 1 unless `normalize` is false; see /embed."""
    model = embedding_model(body.model, context)
    _check(body, model, context)
    task = Embed(
        model=model,
        client=client_of(request),
        texts=body.input,
        field="input",
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
    )
    reply = await context.engine.submit(task, whole=True)
    return TaskResponse(reply, lambda events: _body(events, body, model))


def _check(body: EmbeddingsRequest, model: str, context: ServiceContext) -> None:
    """Raises ApiError for inputs and dimensions that the service does not accept."""
    context.limits.check(body)
    most = context.limits.values["texts"]
    if len(body.input) > most:
        raise _invalid("input", f"expected at most {most} inputs, got {len(body.input)}")
    if any(isinstance(text, str) and not text.strip() for text in body.input):
        raise _invalid("input", "a text is empty")
    own = context.artifact(model).manifest.architecture.features
    if body.dimensions not in (None, own):
        raise _invalid("dimensions", f"expected {own}, the number of model {model!r}")


def _invalid(param: str, message: str) -> ApiError:
    return ApiError(422, "invalid_request", f"{param}: {message}", param)


def _body(events: Sequence[Event], body: EmbeddingsRequest, model: str) -> Iterator[bytes]:
    """The body of an EmbeddingsResponse, in parts."""
    results = embeddings_of(events)
    yield b'{"object":"list","data":['
    for index, result in enumerate(results):
        fields = {"object": "embedding", "index": index, "embedding": _encoded(result, body)}
        yield (b"," if index else b"") + to_json(fields)
    tokens = sum(result.token_count for result in results)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    yield b"]," + to_json({"model": model, "usage": usage})[1:]


def _encoded(result: Embedding, body: EmbeddingsRequest) -> Any:
    values_F = vector(result, normalize=body.normalize)
    if body.encoding_format == "base64":
        return base64.b64encode(values_F.astype("<f4").tobytes()).decode()
    return values_F.tolist()
