"""Keys ordered by a small integer level; keys of one level keep their order of arrival.

Levels are numbers of rows, so there are few different ones at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

RankedKey = TypeVar("RankedKey", bound=Hashable)


class Ranking(Generic[RankedKey]):
    """A set of keys with a level each."""

    def __init__(self) -> None:
        self._levels: dict[int, dict[RankedKey, None]] = {}
        self._level_of: dict[RankedKey, int] = {}

    def __iter__(self) -> Iterator[RankedKey]:
        return iter(self._level_of)

    def __len__(self) -> int:
        return len(self._level_of)

    def __contains__(self, key: RankedKey) -> bool:
        return key in self._level_of

    @property
    def lowest(self) -> RankedKey | None:
        """The first key of the lowest level; None if the ranking is empty."""
        return next(iter(self._levels[min(self._levels)])) if self._levels else None

    @property
    def highest(self) -> RankedKey | None:
        """The first key of the highest level; None if the ranking is empty."""
        return next(iter(self._levels[max(self._levels)])) if self._levels else None

    def put(self, key: RankedKey, level: int | None) -> None:
        """Set the level of a key, or remove the key with None. A key whose level changes becomes
        the last of its new level.
        """
        before = self._level_of.pop(key, None)
        if before is not None and before != level:
            del self._levels[before][key]
            if not self._levels[before]:
                del self._levels[before]
        if level is not None:
            self._level_of[key] = level
            self._levels.setdefault(level, {})[key] = None
