"""``create_app(settings)``: the composition root of the service.

Importing this module has no side effects. Models are loaded when the app is created, so that their
errors are reported at once. The engine starts and stops with the app's lifespan.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from service.backend.async_engine import AsyncEngine
from service.backend.early_loading import FirstModels, read_first_models
from service.backend.inspections import Inspections
from service.backend.inspectors_on_demand import InspectorsOnDemand
from service.backend.metrics import Metrics, version
from service.backend.model_updates import ModelUpdates
from service.backend.registry import ServedModels
from service.backend.settings import Settings
from service.backend.workers import WorkerPool
from service.clients.concurrency import ConcurrencyLimits
from service.clients.keyring import Keyring
from service.clients.rate_limits import RateLimits
from service.engine.api.errors import EngineError
from service.engine.api.options import EngineOptions
from service.http.access.admin_access import AdminAccess, AdminPortMiddleware
from service.http.access_log import AccessLogMiddleware, InternalErrorMiddleware, RouteLabels
from service.http.api_keys import ApiKeyMiddleware, ClientLimitMiddleware, add_security_to_schema
from service.http.dependencies import ServiceContext
from service.http.direct_routes import DirectApp, DirectRoute, DirectRoutes
from service.http.errors import ApiError, from_framework, from_validation, response_to
from service.http.openai.errors import OpenAIErrorMiddleware, remove_422_from_schema
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
    admin,
    classify,
    docs,
    embed,
    generate,
    health,
    index,
    next_word,
    playground,
    score,
    tokenizer,
)
from service.routes import (
    models as models_routes,
)
from service.routes.inspection import language_models, parameters, texts
from service.routes.openai import completions, embeddings
from service.routes.openai import models as openai_models
from service.telemetry.tracing import Tracing
from service.warm_up import warm_up

DESCRIPTION = """Recurrent language models and classifiers.

All requests are JSON, with `Content-Type: application/json`; unknown fields are refused. `model`
may be left out: the default model of that kind answers. Every error has the one shape
`{"error": {"type", "message", "param"}}`."""

logger = logging.getLogger(__name__)
Layer = Callable[[ASGIApp], ASGIApp]
WORKER_THREADS = 2
COMPILER_THREADS = 2  # of constraints
_ROUTERS = (
    generate,
    next_word,
    score,
    classify,
    texts,
    language_models,
    parameters,
    embed,
    completions,
    embeddings,
    openai_models,
    tokenizer,
    models_routes,
    health,
    admin,
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
            remove_422_from_schema(super().openapi())
            if self._requires_key:
                add_security_to_schema(super().openapi())
        return super().openapi()


def create_app(settings: Settings, first: FirstModels | None = None) -> FastAPI:
    """A complete service. ``first``: the artifacts of the settings' folder, if they have been read.

    Raises RegistryError if the folder of models cannot be read or a default
    model is missing, KeyFileError, and TracingError if the packages for traces are missing.
    """
    labels = RouteLabels(["/openapi.json", *_paths()])
    metrics = Metrics({}, labels.labels, waiting_limit=settings.max_waiting)
    limits = RequestLimits(settings)
    # As many texts may wait as requests.
    workers = WorkerPool(threads=WORKER_THREADS, waiting=settings.max_waiting)
    keys = Keyring(
        [key.get_secret_value() for key in settings.api_keys],
        settings.api_keys_file,
        default_limits=settings.client_limits,
    )
    rates = RateLimits(keys.limits)
    state_key = _state_key(settings)
    engine = _engine(settings, state_key, metrics, workers, rates)
    models = ServedModels(
        InspectorsOnDemand(
            {},
            state_key,
            bind_states_to_keys=settings.bind_states_to_keys,
            most_tokens=settings.max_inspected_tokens,
        )
    )
    updates = ModelUpdates(settings, engine, metrics, models)
    updates.load_first(first or read_first_models(settings.models))
    _publish_health(metrics, engine, models, settings)
    app = DescribedApp(
        limits=limits,
        requires_key=keys.requires_key,
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
        models,
        metrics,
        limits,
        keys,
        workers,
        engine,
        Inspections(
            settings.max_waiting_inspections,
            load=models.load_inspectors,
            rates=rates,
            observer=metrics,
        ),
        updates,
        AdminAccess(settings.admin_key.get_secret_value()),
    )
    for module in _ROUTERS:
        app.include_router(module.router)
    _map_errors(app)
    app.state.tracing = _tracing(settings)
    layers = _layers(settings, app.state.context, labels, rates, app.state.tracing)
    _add_middleware(app, settings, layers)
    direct = _direct_routes(app.state.context, layers)
    app.direct = DirectApp(app.direct, direct, _DIRECT_ROUTES)
    return app


@dataclass(frozen=True, slots=True)
class _Layers:
    """The middleware of every request, on the short way and on that of the framework. ``inner``:
    from the innermost on.
    """

    inner: tuple[Layer, ...]
    access_log: Layer
    admin_port: Layer


def _layers(
    settings: Settings,
    context: ServiceContext,
    labels: RouteLabels,
    rates: RateLimits,
    tracing: Tracing | None,
) -> _Layers:
    metrics, keys = context.metrics, context.keys
    inner: list[Layer] = [
        partial(BodyLimitMiddleware, limit=settings.max_body_bytes, seconds=settings.body_seconds),
        partial(
            ClientLimitMiddleware,
            rates=rates,
            concurrency=ConcurrencyLimits(keys.limits),
            on_refusal=metrics.client_refused,
        ),
    ]
    if keys.requires_key:
        inner.append(partial(ApiKeyMiddleware, keys=keys))
    access_log = partial(
        AccessLogMiddleware,
        metrics=metrics,
        routes=labels,
        tracing=tracing,
        access_log=settings.access_log,
        log_texts=settings.log_texts,
    )
    return _Layers(tuple(inner), access_log, partial(AdminPortMiddleware, access=context.admin))


def _direct_routes(context: ServiceContext, layers: _Layers) -> ASGIApp:
    """The short way of a request. It lacks the middleware for other methods, for paths that end
    with a slash and for CORS: such requests take the other way.
    """
    app: ASGIApp = DirectRoutes(_DIRECT_ROUTES, context)
    for layer in layers.inner:
        app = layer(app)
    return layers.admin_port(layers.access_log(InternalErrorMiddleware(app)))


def _add_middleware(app: FastAPI, settings: Settings, layers: _Layers) -> None:
    """Add the middleware; the last one added is outermost."""
    for layer in layers.inner:
        app.add_middleware(layer)
    app.add_middleware(HeadAndOptionsMiddleware)
    app.add_middleware(InternalErrorMiddleware)
    app.add_middleware(OpenAIErrorMiddleware)  # outside the layers whose errors it rewrites
    if (
        settings.allow_origins
    ):  # outside the keys: a preflight has no key, and scripts can read a 401
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allow_origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("*",),
            expose_headers=("Retry-After", "X-Request-ID"),
        )
    app.add_middleware(layers.access_log)
    app.add_middleware(TrailingSlashMiddleware)
    app.add_middleware(layers.admin_port)


def _engine(
    settings: Settings,
    state_key: bytes,
    metrics: Metrics,
    workers: WorkerPool,
    rates: RateLimits,
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
        pattern_bytes=settings.max_pattern_bytes,
        pattern_seconds=settings.pattern_seconds,
        constraint_bytes=settings.constraint_cache_bytes,
    )
    return AsyncEngine(
        options=options,
        observer=metrics,
        workers=workers,
        # A job waits for a process, so a hostile expression must not hold back the texts.
        compilers=WorkerPool(threads=COMPILER_THREADS, waiting=settings.max_waiting),
        stream_bytes=settings.stream_buffer_bytes,
        pause_seconds=settings.pause_seconds,
        answers_bytes=settings.max_answers_bytes,
        rates=rates,
        on_slow_reader=lambda: metrics.slow_reader("buffer_full"),
    )


def _tracing(settings: Settings) -> Tracing | None:
    if settings.otlp_endpoint is None:
        return None
    return Tracing(settings.otlp_endpoint, settings.trace_ratio, version())


def _publish_health(
    metrics: Metrics, engine: AsyncEngine, models: ServedModels, settings: Settings
) -> None:
    """The conditions of /health/live and /health/ready, as metrics."""

    def live() -> bool:
        return engine.heartbeat_age() <= settings.heartbeat_seconds

    metrics.watch(
        live=live,
        ready=lambda: live() and bool(models.registry.artifacts) and not engine.draining,
        draining=lambda: engine.draining,
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
    async with _watching(context):
        yield
    context.inspections.stop()
    await context.engine.stop(context.settings.drain_seconds)
    if app.state.tracing is not None:
        await app.state.tracing.stop()


@asynccontextmanager
async def _watching(context: ServiceContext) -> AsyncIterator[None]:
    """Watch the folder of models, if that is configured."""
    seconds = context.settings.watch_seconds
    watch = asyncio.create_task(context.updates.watch(seconds)) if seconds else None
    yield
    if watch is not None:
        watch.cancel()
    context.updates.stop()


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
