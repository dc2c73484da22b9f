"""The few statistics that every part uses. Knows numbers alone."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

NONE = float("nan")
Item = TypeVar("Item")
Key = TypeVar("Key")


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed; nan where there are none."""
    if not values:
        return NONE
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Iterable[float]) -> float:
    """The middle of the values; nan where there are none."""
    found = list(values)
    return statistics.median(found) if found else NONE


def ratio(ours: float, theirs: float) -> float:
    """How many times theirs ours is; nan where theirs is nothing."""
    return ours / theirs if theirs else NONE


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """The items by key, keys in the order in which they first came."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
