"""Traces in the format of OpenTelemetry, off unless a collector is set.

The packages are the optional extra ``unroll[otel]`` and are imported when tracing starts. A request
is a span; its context continues that of the client (W3C ``traceparent``). Each task of the engine
adds the spans ``queue`` (until it has a row), ``first token`` (until its first event) and ``rest``.
Spans contain no text of clients.

FastAPI has spans of its own, which do not know the engine and follow the global provider. This
module sets no global provider, so they stay off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
UNTRACED = ("/health/", "/metrics")  # probes and scrapes


class TracingError(Exception):
    """Tracing is set up and its packages are not installed."""


class RequestTrace:
    """The span of one request, which began at ``begin``, in nanoseconds since 1970. ``trace_id`` is
    written into the log.
    """

    def __init__(self, tracer: Tracer, span: Span, context: Context, begin: int) -> None:
        # The clock of the system may go back; times within a request must not.
        self._offset = begin - time.monotonic_ns()
        self._tracer = tracer
        self._span = span
        self._context = context
        self.trace_id = f"{span.get_span_context().trace_id:032x}"

    def now(self) -> int:
        """Nanoseconds since 1970, never less than before."""
        return self._offset + time.monotonic_ns()

    def stage(self, name: str, begin: int, end: int, model: str) -> None:
        """Add a part of the request. Times are in nanoseconds since 1970."""
        span = self._tracer.start_span(
            name, context=self._context, start_time=begin, attributes={"unroll.model": model}
        )
        span.end(end_time=end)

    def end(self, status: int, request_id: str) -> None:
        """The response is complete."""
        from opentelemetry.trace import StatusCode  # noqa: PLC0415

        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attribute("unroll.request_id", request_id)
        if status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end(self.now())


class TaskTrace:
    """The times of one task of a request, which become spans at its end."""

    def __init__(self, request: RequestTrace, model: str) -> None:
        self._request = request
        self._model = model
        self._submitted = request.now()
        self._started: int | None = None
        self._first: int | None = None
        self._ended = False

    def start(self) -> None:
        """A sequence of the task got its first row. Called in the engine's thread."""
        if self._started is None:
            self._started = self._request.now()

    def event(self, *, final: bool) -> None:
        """An event of the task arrived."""
        if self._first is None:
            self._first = self._request.now()
        if final:
            self.end()

    def end(self) -> None:
        """The task is over, or cancelled. Only the first call counts."""
        if self._ended:
            return
        self._ended = True
        now = self._request.now()
        started = self._started or self._first or now
        self._request.stage("queue", self._submitted, started, self._model)
        if self._started is not None:
            first = max(self._first or now, started)
            self._request.stage("first token", started, first, self._model)
            if self._first is not None:
                self._request.stage("rest", first, now, self._model)


class Tracing:
    """Makes the traces of requests and exports them in the background.

    ``endpoint``: the collector's address for OTLP over HTTP, without ``/v1/traces``. ``ratio``: the
    share of traces that are recorded, where the client has not decided. Raises TracingError.
    """

    def __init__(self, endpoint: str, ratio: float, version: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )
        except ImportError as error:
            raise TracingError(
                "traces need the OpenTelemetry packages: pip install 'unroll[otel]', "
                "or leave out --otlp-endpoint"
            ) from error
        self._start(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces"), ratio, version)

    def _start(self, exporter: SpanExporter, ratio: float, version: str) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        resource = Resource.create({"service.name": "unroll", "service.version": version})
        self._provider = TracerProvider(
            resource=resource, sampler=ParentBasedTraceIdRatio(ratio), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("unroll", version)
        self._propagator = TraceContextTextMapPropagator()

    def begin(
        self, method: str, route: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> RequestTrace | None:
        """The trace of a request, or None for probes and for requests that are not sampled."""
        from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415

        if route.startswith(UNTRACED):
            return None
        parent = self._propagator.extract(_context_fields(headers))
        method = method if method in METHODS else "_OTHER"
        begin = time.time_ns()
        span = self._tracer.start_span(
            f"{method} {route}",
            context=parent,
            kind=SpanKind.SERVER,
            start_time=begin,
            attributes={"http.request.method": method, "http.route": route},
        )
        if not span.is_recording():
            return None
        return RequestTrace(self._tracer, span, set_span_in_context(span, parent), begin)

    async def stop(self) -> None:
        """Send the spans that are left, within the timeout of the exporter."""
        await asyncio.to_thread(self._provider.shutdown)


def _context_fields(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
    wanted = (b"traceparent", b"tracestate")
    return {
        name.decode("ascii"): value.decode("latin-1") for name, value in headers if name in wanted
    }
