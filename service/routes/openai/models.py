"""GET /v1/models and /v1/models/{id}: the served models, by the OpenAI protocol."""

from __future__ import annotations

import time

from fastapi import APIRouter

from service.http.dependencies import Context
from service.http.openai.schemas import OpenAIModelResponse, OpenAIModelsResponse
from service.routes.openai.error_responses import openai_errors

router = APIRouter(tags=["OpenAI protocol"])
_STARTED = int(time.time())


@router.get(
    "/v1/models",
    responses=openai_errors(401),
    summary="List the models, by the OpenAI protocol",
)
async def openai_models(context: Context) -> OpenAIModelsResponse:
    """All models, in alphabetical order: language models and classifiers."""
    models = [OpenAIModelResponse(id=name, created=_STARTED) for name in context.registry.artifacts]
    return OpenAIModelsResponse(data=models)


@router.get(
    "/v1/models/{id}",
    responses=openai_errors(401, 404),
    summary="Describe a model, by the OpenAI protocol",
)
async def openai_model(id: str, context: Context) -> OpenAIModelResponse:
    """One model."""
    context.artifact(id)
    return OpenAIModelResponse(id=id, created=_STARTED)
