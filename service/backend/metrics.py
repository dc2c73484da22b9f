"""The Prometheus metrics. Names are fixed by the design; labels are few and known in advance.

Each app has a registry of its own, so that two apps in a process do not mix. Every series exists
from the start, with the value 0. The engine reports to it through ``Observer``.
"""

from __future__ import annotations

import itertools
import platform
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Literal, TypeVar, get_args

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
ClientLimit = Literal["rate_limited", "concurrency_limited"]
"""Limits that are checked before the model is known."""
SlowReason = Literal["buffer_full", "no_progress"]
LoadResult = Literal["loaded", "refused"]
INFO_LABELS = ("model", "version", "kind", "cell", "tokenizer")
_STATUSES = (200, 400, 401, 404, 405, 408, 409, 413, 415, 422, 429, 499, 500, 503, 504)


Instrument = Counter | Gauge | BurstHistogram


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
        self._models: list[str] = []
        self._most_waiting = waiting_limit
        self._routes = (*routes, OTHER_ROUTE)
        self._instruments: list[Instrument] = []
        self._define_http()
        of_http = len(self._instruments)
        self._define_engine()
        self._model_instruments = self._instruments[of_http:]  # their first label is the model
        self._create_series()
        self._define_infos(models)
        self._define_health()
        ProcessCollector(registry=self.registry)

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
        self._request_of[route, status](1.0)
        self._request_seconds.labels(route).observe(seconds)

    def client_refused(self, reason: ClientLimit) -> None:
        """A request was refused before its model was known."""
        self._rejected.labels("", reason).inc()

    def model_load(self, result: LoadResult) -> None:
        """An artifact was loaded and serves, or was refused."""
        self._model_loads.labels(result).inc()

    def add_model(self, name: str, facts: Mapping[str, str]) -> None:
        """A model is served from now on, or another version of it."""
        for labels in list(self._info_of.pop(name, ())):
            self._model_info.remove(*labels)
        labels = (name, *(facts[label] for label in INFO_LABELS[1:]))
        self._model_info.labels(*labels).set(1)
        self._info_of[name] = [labels]
        if name not in self._models:
            self._models.append(name)
            self._create_series()

    def keep_models(self, names: Collection[str]) -> None:
        """Drop the series of all other models, which have no requests left."""
        for model in [model for model in self._models if model not in names]:
            self._models.remove(model)
            for labels in self._info_of.pop(model, ()):
                self._model_info.remove(*labels)
            for instrument, values in self._labels_of(model):
                instrument.remove(*values)
        self._create_series()

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
        self._cache_lookup_of[model, hit](1.0)

    def cache_bytes(self, model: str, nbytes: int) -> None:
        self._cache_bytes_of[model](nbytes)

    def load(self, model: str, running: int, waiting: int) -> None:
        self._running_of[model](running)
        self._waiting_of[model](waiting)

    def finished(self, model: str, reason: EndReason) -> None:
        self._finished_of[model, reason](1.0)

    # ------------------------------------------------------------ definitions

    def _define_http(self) -> None:
        self._requests = self._counter("requests", "Requests answered.", "route", "status")
        self._request_seconds = self._seconds(
            "request_seconds", "From a request's headers to the end of its answer.", "route"
        )
        self._slow_readers = self._counter(
            "slow_readers", "Clients disconnected because they did not read their answer.", "reason"
        )
        self._model_loads = self._counter(
            "model_loads", "Artifacts that were loaded while running, or refused.", "result"
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
        self._waiting_limit = gauge(
            "sequences_waiting_limit", "Sequences of one client that may wait (max_waiting)."
        )
        self._cache_bytes = gauge("state_cache_bytes", "Memory held by the state cache.")
        self._cache_lookups = counter(
            "state_cache_lookups", "Prompts looked up, by hit or miss.", "model", "result"
        )

    def _define_infos(self, models: Mapping[str, Mapping[str, str]]) -> None:
        self._model_info = Gauge(
            "unroll_model_info",
            "Models being served; always 1.",
            INFO_LABELS,
            registry=self.registry,
        )
        self._info_of: dict[str, list[tuple[str, ...]]] = {}
        for name, facts in models.items():
            self.add_model(name, facts)
        build = Info("unroll_build", "What is running.", registry=self.registry)
        build.info({"version": version(), "python": platform.python_version()})

    def _define_health(self) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"unroll_{name}", text, registry=self.registry)

        self._live = gauge("live", "1 while the step loop moves, as /health/live.")
        self._ready = gauge("ready", "1 while new requests are accepted, as /health/ready.")
        self._draining = gauge("draining", "1 while the process shuts down.")
        self._models_refused = gauge("models_refused", "Artifacts that are not served.")

    def _create_series(self) -> None:
        """Create every series, and keep references to those that each step or request updates,
        since looking one up takes longer than updating it.
        """
        for route in self._routes:
            self._request_seconds.labels(route)
        self._request_of = _Recorders(
            lambda key: self._requests.labels(key[0], str(key[1])).inc,
            itertools.product(self._routes, _STATUSES),
        )
        for result in get_args(LoadResult):
            self._model_loads.labels(result)
        for reason in get_args(SlowReason):
            self._slow_readers.labels(reason)
        for limit in get_args(ClientLimit):
            self._rejected.labels("", limit)
        for model in self._models:
            for instrument, values in self._labels_of(model):
                instrument.labels(*values)
            self._waiting_limit.labels(model).set(self._most_waiting)
        self._finished_of = _Recorders(
            lambda key: self._finished.labels(*key).inc,
            itertools.product(self._models, get_args(EndReason)),
        )
        self._cache_lookup_of = _Recorders(
            lambda key: self._cache_lookups.labels(key[0], "hit" if key[1] else "miss").inc,
            itertools.product(self._models, (True, False)),
        )
        self._cache_bytes_of = self._each(lambda m: self._cache_bytes.labels(m).set)
        self._prompt_tokens_of = self._each(lambda m: self._prompt_tokens.labels(m).inc)
        self._generated_tokens_of = self._each(lambda m: self._generated_tokens.labels(m).inc)
        self._running_of = self._each(lambda m: self._running.labels(m).set)
        self._waiting_of = self._each(lambda m: self._waiting.labels(m).set)

    def _labels_of(self, model: str) -> Iterator[tuple[Instrument, list[str]]]:
        """All series of a model."""
        further: dict[Instrument, tuple[str, ...]] = {
            self._finished: get_args(EndReason),
            self._rejected: get_args(RejectReason),
            self._cache_lookups: ("hit", "miss"),
        }
        for instrument in self._model_instruments:
            for value in further.get(instrument, ("",)):
                yield instrument, [model, value] if value else [model]

    def _each(self, record: Callable[[str], Callable[[float], None]]) -> _Recorders[str]:
        return _Recorders(record, self._models)

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


_Key = TypeVar("_Key")


class _Recorders(dict[_Key, _Record]):
    """The functions that record values, by labels. A model that was removed gets its series again
    if a late request records one.
    """

    def __init__(self, record: Callable[[_Key], _Record], keys: Iterable[_Key]) -> None:
        super().__init__({key: record(key) for key in keys})
        self._record = record

    def __missing__(self, key: _Key) -> _Record:
        return self._record(key)


def version() -> str:
    """The installed version, or 0 if the package is not installed."""
    try:
        return metadata.version("unroll")
    except metadata.PackageNotFoundError:
        return "0"
