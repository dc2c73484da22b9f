"""What a route may lean on, put together once by ``create_app``. Decides nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from model.artifact import Artifact
from service.backend.async_engine import Bridge
from service.backend.inspections import Inspections
from service.backend.inspectors import Inspectors
from service.backend.metrics import Metrics
from service.backend.registry import Catalog, Kind
from service.backend.settings import Settings
from service.backend.workers import Workers
from service.http.errors import ApiError
from service.http.request_limits import Limits


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The parts of a running service."""

    settings: Settings
    catalog: Catalog
    metrics: Metrics
    limits: Limits
    workers: Workers
    bridge: Bridge
    inspections: Inspections
    inspectors: Inspectors

    def name_of(self, asked: str | None, kind: Kind) -> str:
        """The model asked for, or the default one of that kind; ApiError 404 without one."""
        name = asked or self.catalog.defaults.get(kind)
        if name is None:
            message = f"no {kind} is being served here; GET /models lists what is"
            raise ApiError(404, "model_not_found", message, "model")
        return name

    def artifact(self, name: str) -> Artifact:
        """A model by its name; ApiError 404 when there is none."""
        artifact = self.catalog.artifacts.get(name)
        if artifact is None:
            message = f"no model is named {name!r}; GET /models lists those there are"
            raise ApiError(404, "model_not_found", message, "model")
        return artifact


async def _context_of(request: Request) -> ServiceContext:  # if not async, in a thread
    return cast("ServiceContext", request.app.state.context)


Context = Annotated[ServiceContext, Depends(_context_of)]
