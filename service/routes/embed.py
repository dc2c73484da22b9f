"""POST /embed: a vector for each text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from service.engine.api.tasks import Embed, Embedding, Event, TextsEmbedded
from service.http.api_keys import client_of
from service.http.dependencies import Context, ServiceContext
from service.http.json_response import TaskResponse
from service.http.request_body import JsonRoute
from service.http.request_schemas import EmbedRequest
from service.http.schemas import EmbedResponse
from service.kernel.api.interface import FloatArray
from service.routes.error_responses import WORK_ERRORS

router = APIRouter(route_class=JsonRoute, tags=["classifiers", "language models"])


@router.post(
    "/embed", response_model=EmbedResponse, responses=WORK_ERRORS, summary="Vectors of texts"
)
async def embed(body: EmbedRequest, request: Request, context: Context) -> Response:
    """A vector for each text. A classifier returns its pooled hidden states, the inputs of its last
    layers; a language model returns its hidden state after the text. Without `model`, the default
    classifier answers, or the default language model if there is no classifier.
    """
    context.limits.check(body)
    task = Embed(
        model=embedding_model(body.model, context),
        client=client_of(request),
        texts=body.all_texts,
        deadline_seconds=None if body.deadline_ms is None else body.deadline_ms / 1000,
    )
    reply = await context.engine.submit(task, whole=True)
    return TaskResponse(reply, lambda events: _body(events, task.model, normalize=body.normalize))


def embedding_model(asked: str | None, context: ServiceContext) -> str:
    """The requested model, or the default one."""
    has_classifier = "classifier" in context.registry.defaults
    return context.model_name(asked, "classifier" if has_classifier else "language-model")


def embeddings_of(events: Sequence[Event]) -> Sequence[Embedding]:
    """The results of an Embed task."""
    (embedded,) = events
    if not isinstance(embedded, TextsEmbedded):
        raise TypeError(f"unexpected event of an embedding: {embedded!r}")
    return embedded.results


def vector(embedding: Embedding, *, normalize: bool) -> FloatArray:
    """The numbers, scaled to length 1 on request; zeros stay zeros."""
    values_F = embedding.values_F
    if not normalize:
        return values_F
    length = float(np.linalg.norm(values_F.astype(np.float64)))
    return (values_F / np.float32(length or 1.0)).astype(np.float32)


def _body(events: Sequence[Event], model: str, *, normalize: bool) -> Iterator[bytes]:
    """The body of an EmbedResponse, in parts."""
    results = embeddings_of(events)
    head = {"model": model, "dimensions": len(results[0].values_F)}
    yield to_json(head)[:-1] + b',"results":['
    for index, result in enumerate(results):
        fields = {
            "embedding": vector(result, normalize=normalize).tolist(),
            "token_count": result.token_count,
            "truncated": result.truncated,
        }
        yield (b"," if index else b"") + to_json(fields)
    yield b"]}"
