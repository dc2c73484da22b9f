"""Statistics of repeated measurements."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

import numpy as np

NAN = float("nan")
ItemT = TypeVar("ItemT")
KeyT = TypeVar("KeyT")


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile (0 to 1), one of the values; nan if there are none."""
    return float(np.quantile(values, q, method="higher")) if len(values) > 0 else NAN


def median(values: Iterable[float]) -> float:
    """The median of the values; nan if there are none."""
    sample = list(values)
    return float(np.median(sample)) if sample else NAN


def ratio(numerator: float, denominator: float) -> float:
    """The ratio; nan if the denominator is 0."""
    return numerator / denominator if denominator else NAN


def group_by(items: Iterable[ItemT], key: Callable[[ItemT], KeyT]) -> dict[KeyT, list[ItemT]]:
    """The items by key, in the order of their first occurrence."""
    groups: dict[KeyT, list[ItemT]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def medians_of_repeats(measurements: Iterable[ItemT], key_fields: Sequence[str]) -> list[ItemT]:
    """Summarizes repeats of the same measurement.

    Args:
        measurements: dataclasses of one type.
        key_fields: fields that tell measurements apart; all others hold numbers.

    Returns:
        One dataclass for each combination of key fields, with the median of every other field.
    """
    groups = group_by(measurements, lambda item: tuple(getattr(item, name) for name in key_fields))
    return [_medians(group, key_fields) for group in groups.values()]


def results_of_repeats(summary: Iterable[Any], repeats: Iterable[Any]) -> dict[str, Any]:
    """The results of a report: dataclasses of the medians and of all repeats, as JSON has them."""
    return {"summary": [*map(asdict, summary)], "repeats": [*map(asdict, repeats)]}


def _medians(group: Sequence[ItemT], key_fields: Sequence[str]) -> ItemT:
    names = [field.name for field in fields(group[0]) if field.name not in key_fields]  # type: ignore[arg-type]
    medians = {name: median(getattr(item, name) for item in group) for name in names}
    return replace(group[0], **medians)  # type: ignore[type-var]
