"""A Prometheus histogram that takes equal values in one call.

A burst of the step loop has many steps and one measured duration. ``prometheus_client.Histogram``
takes one value a call and searches its buckets linearly; this takes any number of equal values in a
microsecond. It is a custom collector, the extension point of that library, and has its methods
``labels``, ``remove`` and ``clear``.
"""

from __future__ import annotations

import itertools
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString


class HistogramSeries:
    """The buckets and the sum of one label value. Thread-safe."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float, count: int = 1) -> None:
        """Add ``value`` as if it had been observed ``count`` times."""
        index = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[index] += count
            self._sum += value * count

    def snapshot(self) -> tuple[list[int], float]:
        """The cumulative counts, that of +Inf last, and the sum of all values."""
        with self._lock:
            return list(itertools.accumulate(self._counts)), self._sum


class BurstHistogram(Collector):
    """A histogram with one label. ``bounds``: the upper bounds of its buckets, in rising order."""

    def __init__(
        self,
        name: str,
        documentation: str,
        label: str,
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._label = label
        self._bounds = tuple(bounds)
        self._bound_labels = [*map(floatToGoString, self._bounds), "+Inf"]
        self._series: dict[str, HistogramSeries] = {}
        registry.register(self)

    def labels(self, value: str) -> HistogramSeries:
        """The series of a label value, created at the first call."""
        series = self._series.get(value)
        if series is None:
            series = self._series[value] = HistogramSeries(self._bounds)
        return series

    def remove(self, value: str) -> None:
        """Drop the series of a label value, if there is one."""
        self._series.pop(value, None)

    def clear(self) -> None:
        """Drop all series."""
        self._series = {}

    def describe(self) -> list[HistogramMetricFamily]:
        """The metric without series; the registry takes its names from it."""
        return [self._family()]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """All series, as prometheus_client writes them."""
        family = self._family()
        for value, series in list(self._series.items()):
            counts, total = series.snapshot()
            buckets = list(zip(self._bound_labels, map(float, counts), strict=True))
            family.add_metric([value], buckets, total)
        yield family

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
