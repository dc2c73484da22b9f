"""The Prometheus metrics. Names are fixed by the design; labels are few and known in advance.

Each app has a registry of its own, so that two apps in a process do not mix. Every series exists
from the start, with the value 0. The engine reports to it through ``Observer``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from service.backend.weighted_histogram import WeightedHistogram
from service.engine.api.observer import EndReason, Observer, RejectReason

DURATION_BUCKETS = (
    *(50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
OTHER_ROUTE = "other"
SlowReason = Literal["buffer_full", "no_progress"]
_STATUSES = (200, 400, 401, 404, 405, 408, 409, 413, 415, 422, 429, 499, 500, 503, 504)


class Metrics(Observer):
    """The metrics of the service. ``models`` maps names to the labels of unroll_model_info."""

    def __init__(self, models: Mapping[str, Mapping[str, str]], routes: Iterable[str]) -> None:
        # A creation time for each series would double their number.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._models = tuple(models)
        self._routes = (*routes, OTHER_ROUTE)
        self._instruments: list[Counter | Gauge | Histogram] = []
        self._define_http()
        self._define_engine()
        self._define_infos(models)
        ProcessCollector(registry=self.registry)
        self._create_series()

    def exposition(self) -> bytes:
        """All series in the Prometheus text format."""
        return generate_latest(self.registry)

    def start_from_zero(self) -> None:
        """Reset all series, so that the warm-up is not counted."""
        for instrument in self._instruments:
            instrument.clear()
        self._create_series()

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered, or its client left (status 499). Unknown routes share one
        label.
        """
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def slow_reader(self, reason: SlowReason) -> None:
        """A client was cut off because it did not read its answer."""
        self._slow_readers.labels(reason).inc()

    # ------------------------------------------------------------ reported by the engine

    def rejected(self, model: str, reason: RejectReason) -> None:
        self._rejected.labels(model, reason).inc()

    def queued(self, model: str, seconds: float) -> None:
        self._queue_seconds_of[model](seconds)

    def first_token(self, model: str, seconds: float) -> None:
        self._first_token_of[model](seconds)

    def inter_tokens(self, model: str, seconds: float, count: int) -> None:
        self._inter_token.observe(model, seconds, count)

    def step(self, model: str, seconds: float, rows: int) -> None:
        self._step_seconds_of[model](seconds)
        self._batch_rows_of[model](rows)

    def tokens(self, model: str, prompt: int, generated: int) -> None:
        self._prompt_tokens_of[model](prompt)
        self._generated_tokens_of[model](generated)

    def cache_lookup(self, model: str, *, hit: bool) -> None:
        self._cache_lookups.labels(model, "hit" if hit else "miss").inc()

    def cache_bytes(self, model: str, nbytes: int) -> None:
        self._cache_bytes.labels(model).set(nbytes)

    def load(self, model: str, running: int, waiting: int) -> None:
        self._running_of[model](running)
        self._waiting_of[model](waiting)

    def finished(self, model: str, reason: EndReason) -> None:
        self._finished.labels(model, reason).inc()

    # ------------------------------------------------------------ definitions

    def _define_http(self) -> None:
        self._requests = self._counter("requests", "Requests answered.", "route", "status")
        self._request_seconds = self._seconds(
            "request_seconds", "From a request's headers to the end of its answer.", "route"
        )
        self._slow_readers = self._counter(
            "slow_readers", "Clients disconnected because they did not read their answer.", "reason"
        )

    def _define_engine(self) -> None:
        seconds, counter, gauge = self._seconds, self._counter, self._gauge
        self._queue_seconds = seconds("queue_seconds", "Time a sequence waited for a row.")
        self._first_token = seconds(
            "time_to_first_token_seconds", "From submission to the first token of a choice."
        )
        self._inter_token = WeightedHistogram(
            "unroll_inter_token_seconds",
            "Between two tokens of a choice.",
            "model",
            DURATION_BUCKETS,
        )
        self.registry.register(self._inter_token)
        self._step_seconds = seconds(
            "step_seconds", "A step (the mean of its burst), or a classifier batch."
        )
        self._batch_rows = self._histogram("batch_rows", "Rows in a step.", "model", ROW_BUCKETS)
        self._prompt_tokens = counter("prompt_tokens", "Tokens of prompts and texts read.")
        self._generated_tokens = counter("generated_tokens", "Tokens generated.")
        self._running = gauge("sequences_running", "Sequences that hold a row.")
        self._waiting = gauge("sequences_waiting", "Sequences that wait for a row.")
        self._finished = counter(
            "sequences_finished", "Sequences that ended, by reason.", "model", "reason"
        )
        self._rejected = counter("rejected", "Requests that were refused.", "model", "reason")
        self._cache_bytes = gauge("state_cache_bytes", "Memory held by the state cache.")
        self._cache_lookups = counter(
            "state_cache_lookups", "Prompts looked up, by hit or miss.", "model", "result"
        )

    def _define_infos(self, models: Mapping[str, Mapping[str, str]]) -> None:
        model_info = Gauge(
            "unroll_model_info",
            "Models being served; always 1.",
            ["model", "version", "kind", "cell", "tokenizer"],
            registry=self.registry,
        )
        for name, facts in models.items():
            model_info.labels(model=name, **facts).set(1)
        build = Info("unroll_build", "What is running.", registry=self.registry)
        build.info({"version": version(), "python": platform.python_version()})

    def _create_series(self) -> None:
        """Create every series, and keep references to those that the engine updates in every
        step.
        """
        for route in self._routes:
            self._request_seconds.labels(route)
            for status in _STATUSES:
                self._requests.labels(route, str(status))
        for reason in get_args(SlowReason):
            self._slow_readers.labels(reason)
        for model in self._models:
            self._inter_token.reset(model)
            self._cache_bytes.labels(model)
            for reason in get_args(EndReason):
                self._finished.labels(model, reason)
            for reason in get_args(RejectReason):
                self._rejected.labels(model, reason)
            for result in ("hit", "miss"):
                self._cache_lookups.labels(model, result)
        self._queue_seconds_of = self._each(lambda m: self._queue_seconds.labels(m).observe)
        self._first_token_of = self._each(lambda m: self._first_token.labels(m).observe)
        self._step_seconds_of = self._each(lambda m: self._step_seconds.labels(m).observe)
        self._batch_rows_of = self._each(lambda m: self._batch_rows.labels(m).observe)
        self._prompt_tokens_of = self._each(lambda m: self._prompt_tokens.labels(m).inc)
        self._generated_tokens_of = self._each(lambda m: self._generated_tokens.labels(m).inc)
        self._running_of = self._each(lambda m: self._running.labels(m).set)
        self._waiting_of = self._each(lambda m: self._waiting.labels(m).set)

    def _each(self, record: Callable[[str], Callable[[float], None]]) -> dict[str, _Record]:
        return {model: record(model) for model in self._models}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        counter = Counter(f"unroll_{name}", text, labels or ("model",), registry=self.registry)
        self._instruments.append(counter)
        return counter

    def _gauge(self, name: str, text: str) -> Gauge:
        gauge = Gauge(f"unroll_{name}", text, ("model",), registry=self.registry)
        self._instruments.append(gauge)
        return gauge

    def _seconds(self, name: str, text: str, label: str = "model") -> Histogram:
        return self._histogram(name, text, label, DURATION_BUCKETS)

    def _histogram(self, name: str, text: str, label: str, buckets: tuple[float, ...]) -> Histogram:
        full_name = f"unroll_{name}"
        histogram = Histogram(full_name, text, (label,), buckets=buckets, registry=self.registry)
        self._instruments.append(histogram)
        return histogram


_Record = Callable[[float], None]


def version() -> str:
    """The installed version, or 0 if the package is not installed."""
    try:
        return metadata.version("unroll")
    except metadata.PackageNotFoundError:
        return "0"
