"""The metrics of several workers as those of one service.

Counters and histograms are sums, and include what workers counted that have ended since, up to the
last time they were asked: a sum that falls would look like a restart of the whole service, and
Prometheus would count everything a second time. Gauges are sums, except the few that say something
about the whole.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Family = dict[str, Any]
"""``name``, ``type``, ``help`` and ``samples``: lists of name, labels and value. Plain data, since
it passes between processes."""
_Key = tuple[str, tuple[tuple[str, str], ...]]

_CUMULATIVE = ("counter", "histogram")
_LEAST = ("unroll_live", "unroll_ready", "process_start_time_seconds")
_LARGEST = (
    *("unroll_draining", "unroll_models_refused"),
    *("unroll_model_info", "unroll_build"),
)


class MergedMetrics:
    """Merges the families of the workers and remembers those of workers that have ended."""

    def __init__(self) -> None:
        self._latest: dict[int, list[Family]] = {}
        self._ended: dict[_Key, float] = {}

    def update(self, slot: int, families: list[Family]) -> None:
        """A worker has answered."""
        self._latest[slot] = families

    def worker_ended(self, slot: int) -> None:
        """A worker has ended: keep what it had counted when it was last asked."""
        for family in self._latest.pop(slot, ()):
            if family["type"] in _CUMULATIVE:
                for name, labels, value in family["samples"]:
                    key = _key(name, labels)
                    self._ended[key] = self._ended.get(key, 0.0) + value

    def merged(self) -> list[Family]:
        """One family for each name, in the order of the first worker that has it."""
        families: dict[str, list[Family]] = {}
        for slot in sorted(self._latest):
            for family in self._latest[slot]:
                families.setdefault(family["name"], []).append(family)
        merged = [_merge(group, self._ended) for group in families.values()]
        if families:
            self._forget_removed_series(merged)
        return merged

    def _forget_removed_series(self, merged: Iterable[Family]) -> None:
        """Series that no worker has any more belong to removed models, and start again from 0."""
        present = {_key(name, labels) for f in merged for name, labels, _ in f["samples"]}
        self._ended = {key: value for key, value in self._ended.items() if key in present}


def gauge(name: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> Family:
    """A gauge of the supervisor's own."""
    return _own(name, "gauge", text, samples)


def counter(name: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]) -> Family:
    """A counter of the supervisor's own. ``name``: without ``_total``."""
    return _own(name, "counter", text, samples)


def _own(
    name: str, kind: str, text: str, samples: Sequence[tuple[Mapping[str, str], float]]
) -> Family:
    series = f"{name}_total" if kind == "counter" else name
    rows = [[series, dict(labels), value] for labels, value in samples]
    return {"name": name, "type": kind, "help": text, "samples": rows}


def _merge(group: Sequence[Family], ended: Mapping[_Key, float]) -> Family:
    first = group[0]
    join = _joining(first["name"])
    cumulative = first["type"] in _CUMULATIVE
    values: dict[_Key, float] = {}
    for family in group:
        for name, labels, value in family["samples"]:
            key = _key(name, labels)
            values[key] = join(values[key], value) if key in values else value
    samples = [
        [name, dict(labels), value + (ended.get((name, labels), 0.0) if cumulative else 0.0)]
        for (name, labels), value in values.items()
    ]
    return {**first, "samples": samples}


def _joining(family: str) -> Callable[[float, float], float]:
    if family in _LEAST:
        return min
    return max if family in _LARGEST else operator.add


def _key(name: str, labels: Mapping[str, str]) -> _Key:
    return name, tuple(labels.items())
