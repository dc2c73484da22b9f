"""``create_app(settings)``: the composition root of the service.

Importing this module has no side effects. Models are loaded when the app is created, so that their
errors are reported at once. The engine starts and stops with the app's lifespan.
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
from starlette.types import ASGIApp, Receive, Scope, Send

from service.backend.async_engine import AsyncEngine
from service.backend.inspections import Inspections
from service.backend.inspectors import Inspectors
from service.backend.metrics import Metrics, version
from service.backend.registry import ModelRegistry, info_labels, load_registry, restrict_registry
from service.backend.settings import Settings
from service.backend.workers import WorkerPool
from service.engine.api.errors import EngineError
from service.engine.runners.engine import EngineOptions
from service.http.access_log import AccessLogMiddleware, InternalErrorMiddleware, RouteLabels
from service.http.api_keys import ApiKeyMiddleware, add_security_to_schema
from service.http.dependencies import ServiceContext
from service.http.direct_routes import DirectApp, DirectRoute, DirectRoutes
from service.http.errors import ApiError, from_framework, from_validation, response_to
from service.http.request_body import BodyLimitMiddleware
from service.http.request_limits import RequestLimits
from service.http.request_line import HeadAndOptionsMiddleware, TrailingSlashMiddleware
from service.http.request_schemas import (
    ClassifyRequest,
    GenerateRequest,
    NextWordRequest,
    ScoreRequest,
)
from service.kernel.factory import resolve_kernel
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
WORKER_THREADS = 2
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

_DIRECT_ROUTES = {
    "/generate": DirectRoute(GenerateRequest, generate.generate),
    "/next-word": DirectRoute(NextWordRequest, next_word.next_word),
    "/score": DirectRoute(ScoreRequest, score.score),
    "/classify": DirectRoute(ClassifyRequest, classify.classify),
}


class DescribedApp(FastAPI):
    """FastAPI with the bounds of this service, and its API keys, in its OpenAPI schema. Short
    requests go to ``direct``.
    """

    def __init__(self, *, limits: RequestLimits, requires_key: bool, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._requires_key = requires_key
        self.direct: ASGIApp = super().__call__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.direct(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI schema; FastAPI calls this and caches the result."""
        if self.openapi_schema is None:
            self._limits.add_to_schema(super().openapi())
            if self._requires_key:
                add_security_to_schema(super().openapi())
        return super().openapi()


def create_app(settings: Settings) -> FastAPI:
    """A complete service. Raises RegistryError if no model can be served."""
    registry = load_registry(settings)
    labels = RouteLabels(["/openapi.json", *_paths()])
    infos = {name: info_labels(artifact) for name, artifact in registry.artifacts.items()}
    metrics = Metrics(infos, labels.labels)
    limits = RequestLimits(settings)
    # As many texts may wait as requests.
    workers = WorkerPool(threads=WORKER_THREADS, waiting=settings.max_waiting)
    state_key = _state_key(settings)
    engine = _engine(settings, state_key, registry, metrics, workers)
    registry = restrict_registry(registry, engine.models, settings)
    app = DescribedApp(
        limits=limits,
        requires_key=bool(settings.api_keys),
        title="Unroll",
        version=version(),
        description=DESCRIPTION,
        docs_url=None,  # routes/docs.py serves its own page
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.context = ServiceContext(
        settings,
        registry,
        metrics,
        limits,
        workers,
        engine,
        Inspections(settings.max_waiting_inspections),
        Inspectors(
            registry.artifacts,
            state_key,
            bind_states_to_keys=settings.bind_states_to_keys,
            most_tokens=settings.max_inspected_tokens,
        ),
    )
    for module in _ROUTERS:
        app.include_router(module.router)
    _map_errors(app)
    _add_middleware(app, settings, metrics, labels)
    direct = _direct_routes(settings, app.state.context, labels)
    app.direct = DirectApp(app.direct, direct, _DIRECT_ROUTES)
    return app


def _direct_routes(settings: Settings, context: ServiceContext, labels: RouteLabels) -> ASGIApp:
    """The short way of a request, with the part of the middleware below that applies to it."""
    app: ASGIApp = DirectRoutes(_DIRECT_ROUTES, context)
    app = BodyLimitMiddleware(app, limit=settings.max_body_bytes, seconds=settings.body_seconds)
    if settings.api_keys:
        app = ApiKeyMiddleware(app, keys=_keys(settings))
    return AccessLogMiddleware(
        InternalErrorMiddleware(app),
        metrics=context.metrics,
        routes=labels,
        access_log=settings.access_log,
    )


def _keys(settings: Settings) -> list[str]:
    return [key.get_secret_value() for key in settings.api_keys]


def _add_middleware(
    app: FastAPI, settings: Settings, metrics: Metrics, labels: RouteLabels
) -> None:
    """Add the middleware; the last one added is outermost."""
    app.add_middleware(
        BodyLimitMiddleware, limit=settings.max_body_bytes, seconds=settings.body_seconds
    )
    if settings.api_keys:
        if any(len(key.get_secret_value()) < _SHORT_KEY for key in settings.api_keys):
            logger.warning("an API key has fewer than %d characters and can be guessed", _SHORT_KEY)
        app.add_middleware(ApiKeyMiddleware, keys=_keys(settings))
    app.add_middleware(HeadAndOptionsMiddleware)
    app.add_middleware(InternalErrorMiddleware)
    if (
        settings.allow_origins
    ):  # outside the keys: a preflight has no key, and scripts can read a 401
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allow_origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("*",),
            expose_headers=("Retry-After",),
        )
    app.add_middleware(
        AccessLogMiddleware, metrics=metrics, routes=labels, access_log=settings.access_log
    )
    app.add_middleware(TrailingSlashMiddleware)


def _engine(
    settings: Settings,
    state_key: bytes,
    registry: ModelRegistry,
    metrics: Metrics,
    workers: WorkerPool,
) -> AsyncEngine:
    options = EngineOptions(
        rows=settings.max_rows,
        waiting=settings.max_waiting,
        threads=settings.thread_count,
        kernel=resolve_kernel(settings.kernel),
        precision=settings.precision,
        burst_steps=settings.burst_steps,
        state_cache_bytes=settings.state_cache_bytes,
        state_key=state_key,
        bind_states_to_keys=settings.bind_states_to_keys,
        prompt_tokens=settings.max_prompt_tokens,
        answer_logprobs=settings.max_logprobs,
    )
    return AsyncEngine(
        registry.artifacts,
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
        logger.info(
            "UNROLL_STATE_KEY is not set: state tokens become invalid when this process ends"
        )
    return key or secrets.token_bytes(32)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: ServiceContext = app.state.context
    context.engine.start()
    context.inspections.start()
    await warm_up(context)
    context.metrics.start_from_zero()
    yield
    context.inspections.stop()
    await context.engine.stop(context.settings.drain_seconds)


def _paths() -> list[str]:
    return [route.path for module in _ROUTERS for route in module.router.routes]


def _map_errors(app: FastAPI) -> None:
    """Give every error the one shape."""

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        return response_to(error)

    @app.exception_handler(HTTPException)
    async def routing_error(_: Request, error: HTTPException) -> JSONResponse:
        return from_framework(error).response()

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
        return from_validation(error).response()

    @app.exception_handler(EngineError)
    async def engine_error(_: Request, error: EngineError) -> JSONResponse:
        return response_to(error)
