"""Keys ordered by a small whole number; keys of the same number in the order in which they got it.

Numbers are counts of rows, so there are few different ones at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Ranking(Generic[Key]):
    """A set of keys with a level each."""

    def __init__(self) -> None:
        self._levels: dict[int, dict[Key, None]] = {}
        self._level_of: dict[Key, int] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._level_of)

    def __len__(self) -> int:
        return len(self._level_of)

    def __contains__(self, key: Key) -> bool:
        return key in self._level_of

    @property
    def lowest(self) -> Key | None:
        """The first key of the lowest level; None if there is none."""
        return next(iter(self._levels[min(self._levels)])) if self._levels else None

    @property
    def highest(self) -> Key | None:
        """The first key of the highest level; None if there is none."""
        return next(iter(self._levels[max(self._levels)])) if self._levels else None

    def put(self, key: Key, level: int | None) -> None:
        """Sets the level of a key, or removes it with None. A key whose level changes becomes the
        last of the new one.
        """
        before = self._level_of.pop(key, None)
        if before is not None and before != level:
            del self._levels[before][key]
            if not self._levels[before]:
                del self._levels[before]
        if level is not None:
            self._level_of[key] = level
            self._levels.setdefault(level, {})[key] = None
