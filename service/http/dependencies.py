"""The dependencies that are injected into route handlers, assembled by ``create_app``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from model.storage.stored_artifact import StoredArtifact
from service.backend.async_engine import AsyncEngine
from service.backend.inspections import Inspections
from service.backend.inspectors_on_demand import InspectorsOnDemand
from service.backend.metrics import Metrics
from service.backend.registry import ModelKind, ModelRegistry
from service.backend.settings import Settings
from service.backend.workers import WorkerPool
from service.http.errors import ApiError
from service.http.request_limits import RequestLimits


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The parts of a running service."""

    settings: Settings
    registry: ModelRegistry
    metrics: Metrics
    limits: RequestLimits
    workers: WorkerPool
    engine: AsyncEngine
    inspections: Inspections
    inspectors: InspectorsOnDemand

    def model_name(self, asked: str | None, kind: ModelKind) -> str:
        """The requested model, or the default one of that kind. ApiError 404 if there is none."""
        name = asked or self.registry.defaults.get(kind)
        if name is None:
            message = f"this service has no {kind}; GET /models lists its models"
            raise ApiError(404, "model_not_found", message, "model")
        return name

    def artifact(self, name: str) -> StoredArtifact:
        """A model by name. ApiError 404 if there is none."""
        artifact = self.registry.artifacts.get(name)
        if artifact is None:
            message = f"no model is named {name!r}; GET /models lists the models"
            raise ApiError(404, "model_not_found", message, "model")
        return artifact


async def _context_of(
    request: Request,
) -> ServiceContext:  # async, since FastAPI runs others in a thread
    return cast("ServiceContext", request.app.state.context)


Context = Annotated[ServiceContext, Depends(_context_of)]
