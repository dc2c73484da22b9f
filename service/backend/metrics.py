"""The Prometheus metrics. Names are fixed by the design; labels are few and known in advance.

Each app has a registry of its own, so that two apps in a process do not mix. Every series exists
from the start, with the value 0. The engine reports to it through ``Observer``.
"""

from __future__ import annotations

import platform
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from service.engine.api.observer import EndReason, Observer, RejectReason
from service.telemetry.histogram import BurstHistogram

DURATION_BUCKETS = (
    *(50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
OTHER_ROUTE = "other"
SlowReason = Literal["buffer_full", "no_progress"]
_STATUSES = (200, 400, 401, 404, 405, 408, 409, 413, 415, 422, 429, 499, 500, 503, 504)


class Metrics(Observer):
    """The metrics of the service. ``models`` maps names to the labels of unroll_model_info.
    ``waiting_limit``: sequences of one client that may wait for a model.
    """

    def __init__(
        self,
        models: Mapping[str, Mapping[str, str]],
        routes: Iterable[str],
        *,
        waiting_limit: int = 0,
    ) -> None:
        # A creation time for each series would double their number.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._models = tuple(models)
        self._routes = (*routes, OTHER_ROUTE)
        self._instruments: list[Counter | Gauge | BurstHistogram] = []
        self._define_http()
        self._define_engine()
        self._define_infos(models)
        self._define_health()
        self._define_limits(waiting_limit)
        ProcessCollector(registry=self.registry)
        self._create_series()

    def exposition(self) -> bytes:
        """All series in the Prometheus text format."""
        return generate_latest(self.registry)

    def watch(
        self, *, live: Callable[[], bool], ready: Callable[[], bool], draining: Callable[[], bool]
    ) -> None:
        """Publish the health of the service, asked at every scrape."""
        self._live.set_function(lambda: float(live()))
        self._ready.set_function(lambda: float(ready()))
        self._draining.set_function(lambda: float(draining()))

    def models_refused(self, count: int) -> None:
        """Publish how many artifacts of the directory are not served."""
        self._models_refused.set(count)

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

    def rate_limited(self) -> None:
        """A request was refused before its model was known."""
        self._rejected.labels("", "rate_limited").inc()

    def slow_reader(self, reason: SlowReason) -> None:
        """A client was cut off because it did not read its answer."""
        self._slow_readers.labels(reason).inc()

    # ------------------------------------------------------------ reported by the engine

    def rejected(self, model: str, reason: RejectReason) -> None:
        self._rejected.labels(model, reason).inc()

    def queued(self, model: str, seconds: float) -> None:
        self._queue_seconds.labels(model).observe(seconds)

    def first_token(self, model: str, seconds: float) -> None:
        self._first_token.labels(model).observe(seconds)

    def inter_token(self, model: str, seconds: float, count: int) -> None:
        self._inter_token.labels(model).observe(seconds, count)

    def steps(self, model: str, seconds: float, rows: Sequence[int]) -> None:
        self._step_seconds.labels(model).observe(seconds / len(rows), len(rows))
        batch_rows = self._batch_rows.labels(model)
        for row_count, steps in Tally(rows).items():
            batch_rows.observe(row_count, steps)

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
        self._inter_token = seconds("inter_token_seconds", "Between two tokens of a choice.")
        self._step_seconds = seconds(
            "step_seconds", "A step (the mean of its burst), or a slice of a classifier batch."
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

    def _define_health(self) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"unroll_{name}", text, registry=self.registry)

        self._live = gauge("live", "1 while the step loop moves, as /health/live.")
        self._ready = gauge("ready", "1 while new requests are accepted, as /health/ready.")
        self._draining = gauge("draining", "1 while the process shuts down.")
        self._models_refused = gauge("models_refused", "Artifacts that are not served.")

    def _define_limits(self, waiting: int) -> None:
        limit = Gauge(
            "unroll_sequences_waiting_limit",
            "Sequences of one client that may wait (max_waiting).",
            ("model",),
            registry=self.registry,
        )
        for model in self._models:
            limit.labels(model).set(waiting)

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
        self._rejected.labels("", "rate_limited")  # before the model is known
        for model in self._models:
            self._cache_bytes.labels(model)
            for histogram in (
                self._queue_seconds,
                self._first_token,
                self._inter_token,
                self._step_seconds,
                self._batch_rows,
            ):
                histogram.labels(model)
            for reason in get_args(EndReason):
                self._finished.labels(model, reason)
            for reason in get_args(RejectReason):
                self._rejected.labels(model, reason)
            for result in ("hit", "miss"):
                self._cache_lookups.labels(model, result)
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

    def _seconds(self, name: str, text: str, label: str = "model") -> BurstHistogram:
        return self._histogram(name, text, label, DURATION_BUCKETS)

    def _histogram(
        self, name: str, text: str, label: str, buckets: tuple[float, ...]
    ) -> BurstHistogram:
        histogram = BurstHistogram(f"unroll_{name}", text, label, buckets, self.registry)
        self._instruments.append(histogram)
        return histogram


_Record = Callable[[float], None]


def version() -> str:
    """The installed version, or 0 if the package is not installed."""
    try:
        return metadata.version("unroll")
    except metadata.PackageNotFoundError:
        return "0"
