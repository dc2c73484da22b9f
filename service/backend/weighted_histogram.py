"""A Prometheus histogram that counts many equal observations in one call.

The histogram of prometheus_client takes one observation a call, which would be one call, under a
lock, for every token of every stream.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class WeightedHistogram(Collector):
    """Counts observations by the values of one label. Thread-safe."""

    def __init__(self, name: str, text: str, label: str, buckets: Sequence[float]) -> None:
        """``buckets``: upper bounds in ascending order; the infinite one is added."""
        self._name, self._text, self._label = name, text, label
        self._bounds = tuple(buckets)
        self._lock = threading.Lock()
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def reset(self, value: str) -> None:
        """Create the series of a label's value, or set it to zero."""
        with self._lock:
            self._counts[value] = [0] * (len(self._bounds) + 1)
            self._sums[value] = 0.0

    def observe(self, value: str, amount: float, count: int) -> None:
        """Count ``count`` observations of ``amount`` in the series of a label's value."""
        with self._lock:
            self._counts[value][bisect_left(self._bounds, amount)] += count
            self._sums[value] += amount * count

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The series, for the registry."""
        family = HistogramMetricFamily(self._name, self._text, labels=[self._label])
        with self._lock:
            for value, counts in self._counts.items():
                family.add_metric([value], self._cumulative(counts), self._sums[value])
        yield family

    def _cumulative(self, counts: Sequence[int]) -> list[tuple[str, float]]:
        buckets, total = [], 0
        for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
            total += count
            buckets.append((_label(bound), float(total)))
        return buckets


def _label(bound: float) -> str:
    """A bound as Prometheus writes it."""
    return "+Inf" if bound == float("inf") else repr(bound)
