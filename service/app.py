"""``create_app(settings)``: the one place where the service is put together.

Nothing is built when this is imported. Models are loaded when the app is created, so that what is
wrong with them is said at once; the engine starts and stops with the app's lifespan.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse

from service.backend.async_engine import Bridge
from service.backend.inspections import Inspections
from service.backend.inspectors import Inspectors
from service.backend.metrics import Metrics, version
from service.backend.registry import Catalog, describe, load_catalog, restrict
from service.backend.settings import Settings
from service.backend.workers import Workers
from service.engine.api.errors import EngineError
from service.engine.runners.engine import EngineOptions
from service.http.access_log import Failures, Journal, RouteLabels
from service.http.api_keys import ApiKeys
from service.http.dependencies import ServiceContext
from service.http.errors import ApiError, from_engine, from_framework, from_validation
from service.http.request_body import BodyLimit
from service.http.request_limits import Limits
from service.http.request_line import HeadAndOptions, TrailingSlash
from service.kernel.factory import resolve
from service.routes import (
    classify,
    docs,
    generate,
    health,
    index,
    models,
    next_word,
    playground,
    score,
)
from service.routes.inspection import language_models, texts
from service.warm_up import warm_up

DESCRIPTION = """Recurrent language models and classifiers.

All requests are JSON, with `Content-Type: application/json`; unknown fields are refused. `model`
may be left out: the default model of that kind answers. Every error has the one shape
`{"error": {"type", "message", "param"}}`."""

logger = logging.getLogger(__name__)
_SHORT_KEY = 16
WORKERS = 2
_ROUTERS = (
    generate,
    next_word,
    score,
    classify,
    texts,
    language_models,
    models,
    health,
    docs,
    playground,
    index,
)


class DescribedApp(FastAPI):
    """FastAPI whose description tells the bounds of this service."""

    def __init__(self, *, limits: Limits, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits

    def openapi(self) -> dict[str, Any]:
        """Called by FastAPI, which keeps what it has described."""
        if self.openapi_schema is None:
            self._limits.describe(super().openapi())
        return super().openapi()


def create_app(settings: Settings) -> FastAPI:
    """A complete service. Raises CatalogError when there is nothing to serve."""
    catalog = load_catalog(settings)
    labels = RouteLabels(["/openapi.json", *_paths()])
    infos = {name: describe(artifact) for name, artifact in catalog.artifacts.items()}
    metrics = Metrics(infos, labels.labels)
    limits = Limits(settings)
    # as many texts may wait as requests may; a thread's memory is that of a part of a text
    workers = Workers(threads=WORKERS, waiting=settings.max_waiting)
    state_key = _state_key(settings)
    bridge = _bridge(settings, state_key, catalog, metrics, workers)
    catalog = restrict(catalog, bridge.models, settings)
    app = DescribedApp(
        limits=limits,
        title="Unroll",
        version=version(),
        description=DESCRIPTION,
        docs_url=None,  # routes/docs.py has its own
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.context = ServiceContext(
        settings,
        catalog,
        metrics,
        limits,
        workers,
        bridge,
        Inspections(settings.max_waiting_inspections),
        Inspectors(
            catalog.artifacts,
            state_key,
            bind_states_to_keys=settings.bind_states_to_keys,
            most_tokens=settings.max_inspected_tokens,
        ),
    )
    for module in _ROUTERS:
        app.include_router(module.router)
    _map_errors(app)
    _add_middleware(app, settings, metrics, labels)
    return app


def _add_middleware(
    app: FastAPI, settings: Settings, metrics: Metrics, labels: RouteLabels
) -> None:
    """What is added last is outermost."""
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, seconds=settings.body_seconds)
    if settings.api_keys:
        if any(len(key.get_secret_value()) < _SHORT_KEY for key in settings.api_keys):
            logger.warning("an API key of fewer than %d characters can be guessed", _SHORT_KEY)
        app.add_middleware(ApiKeys, keys=[key.get_secret_value() for key in settings.api_keys])
    app.add_middleware(HeadAndOptions)
    app.add_middleware(Failures)
    if settings.allow_origins:  # outside the keys: a preflight brings none, and a 401 is readable
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allow_origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("*",),
            expose_headers=("Retry-After",),
        )
    app.add_middleware(Journal, metrics=metrics, routes=labels, access_log=settings.access_log)
    app.add_middleware(TrailingSlash)


def _bridge(
    settings: Settings, state_key: bytes, catalog: Catalog, metrics: Metrics, workers: Workers
) -> Bridge:
    options = EngineOptions(
        rows=settings.max_rows,
        waiting=settings.max_waiting,
        threads=settings.thread_count,
        kernel=resolve(settings.kernel),
        precision=settings.precision,
        burst_steps=settings.burst_steps,
        state_cache_bytes=settings.state_cache_bytes,
        state_key=state_key,
        bind_states_to_keys=settings.bind_states_to_keys,
        prompt_tokens=settings.max_prompt_tokens,
        answer_logprobs=settings.max_logprobs,
    )
    return Bridge(
        catalog.artifacts,
        options=options,
        observer=metrics,
        workers=workers,
        stream_bytes=settings.stream_buffer_bytes,
        answers_bytes=settings.max_answers_bytes,
        on_slow_reader=lambda: metrics.slow_reader("buffer_full"),
    )


def _state_key(settings: Settings) -> bytes:
    key = settings.state_key.get_secret_value().encode()
    if not key:
        logger.info("no UNROLL_STATE_KEY: states that clients keep end with this process")
    return key or secrets.token_bytes(32)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: ServiceContext = app.state.context
    context.bridge.start()
    context.inspections.start()
    await warm_up(context)
    context.metrics.start_from_zero()
    yield
    context.inspections.stop()
    await context.bridge.stop(context.settings.drain_seconds)


def _paths() -> list[str]:
    return [route.path for module in _ROUTERS for route in module.router.routes]


def _map_errors(app: FastAPI) -> None:
    """Whatever is raised goes out in the one shape."""

    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> JSONResponse:
        return error.response()

    @app.exception_handler(HTTPException)
    async def unroutable(_: Request, error: HTTPException) -> JSONResponse:
        return from_framework(error).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return from_validation(error).response()

    @app.exception_handler(EngineError)
    async def from_the_engine(_: Request, error: EngineError) -> JSONResponse:
        return from_engine(error).response()
