"""GET /models and /models/{name}: the served models."""

from __future__ import annotations

from typing import Literal, cast

from fastapi import APIRouter

from service.backend.registry import architecture_of
from service.http.dependencies import Context, ServiceContext
from service.http.schemas import ModelResponse, ModelsResponse, RefusedModel
from service.routes.error_responses import errors

router = APIRouter(tags=["models"])


@router.get("/models", responses=errors(401), response_model_exclude_none=True)
async def models(context: Context) -> ModelsResponse:
    """All models, in alphabetical order, and the artifacts that were refused."""
    registry = context.registry
    return ModelsResponse(
        models=[_model(name, context) for name in registry.artifacts],
        refused=[
            RefusedModel(name=name, reason=reason) for name, reason in registry.refused.items()
        ],
    )


@router.get("/models/{name}", responses=errors(401, 404, 422), response_model_exclude_none=True)
async def model(name: str, context: Context) -> ModelResponse:
    """One model."""
    return _model(name, context)


def _model(name: str, context: ServiceContext) -> ModelResponse:
    artifact = context.artifact(name)
    manifest = artifact.manifest
    return ModelResponse(
        name=name,
        version=manifest.version,
        kind=cast("Literal['language-model', 'classifier']", manifest.kind),
        default=context.registry.is_default(name),
        tokenizer=artifact.tokenizer.kind,
        vocabulary_size=artifact.tokenizer.size,
        architecture=architecture_of(artifact),
        labels=list(manifest.answers) or None,
        out_of_scope_label=None if manifest.answers == manifest.labels else manifest.answers[-1],
        multi_label=manifest.thresholds is not None if manifest.kind == "classifier" else None,
        thresholds=None
        if manifest.thresholds is None
        else dict(zip(manifest.labels, manifest.thresholds, strict=True)),
        metrics=dict(manifest.metrics),
        limits=_limits(manifest.kind, context),
    )


def _limits(kind: str, context: ServiceContext) -> dict[str, int]:
    settings, values = context.settings, context.limits.values
    limits = {
        "body_bytes": settings.max_body_bytes,
        "deadline_ms": values["deadline_ms"],
        "texts": values["texts"],
    }
    if kind == "classifier":
        return {
            **limits,
            "explained_tokens": settings.max_explained_tokens,
            "explained_work": settings.max_explained_work,
        }
    return {
        **limits,
        "prompt_tokens": settings.max_prompt_tokens,
        "max_tokens": values["max_tokens"],
        "n": values["choices"],
        "logprobs": settings.max_logprobs,
    }
