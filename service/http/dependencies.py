"""The dependencies that are injected into route handlers, assembled by ``create_app``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from model.storage.stored_artifact import StoredArtifact
from service.backend.async_engine import AsyncEngine
from service.backend.inspections import Inspections
from service.backend.inspectors_on_demand import InspectorsOnDemand
from service.backend.metrics import Metrics
from service.backend.model_updates import ModelUpdates
from service.backend.registry import ModelKind, ModelRegistry, ServedModels
from service.backend.settings import Settings
from service.backend.siblings import ServiceProcesses
from service.backend.workers import WorkerPool
from service.clients.keyring import Keyring
from service.http.access.admin_access import AdminAccess
from service.http.errors import ApiError
from service.http.request_limits import RequestLimits


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The parts of a running service."""

    settings: Settings
    models: ServedModels
    metrics: Metrics
    limits: RequestLimits
    keys: Keyring
    workers: WorkerPool
    engine: AsyncEngine
    inspections: Inspections
    updates: ModelUpdates
    admin: AdminAccess
    processes: ServiceProcesses = field(default_factory=ServiceProcesses)

    @property
    def registry(self) -> ModelRegistry:
        """The models of the moment."""
        return self.models.registry

    @property
    def inspectors(self) -> InspectorsOnDemand:
        """The inspectors of the moment, for use in the inspection thread."""
        return self.models.inspectors

    def model_name(self, asked: str | None, kind: ModelKind) -> str:
        """The requested model, or the default one of that kind. ApiError 404 if there is none,
        503 if no model is loaded yet.
        """
        if not self.registry.artifacts:
            raise no_model()
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


def no_model() -> ApiError:
    """The response while the folder of models has none that can be served."""
    return ApiError(503, "no_model", "no model is loaded yet; GET /models lists refused ones")


async def _context_of(
    request: Request,
) -> ServiceContext:  # async, since FastAPI runs others in a thread
    return cast("ServiceContext", request.app.state.context)


Context = Annotated[ServiceContext, Depends(_context_of)]
