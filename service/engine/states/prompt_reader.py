"""A prompt that is read from as far on as the state cache knows it, and leaves states behind.

States worth keeping on the way: before the last token (from there a prompt that comes again is
drawn from, and the choices of one task share it), at even distances, and where the prompt parts
from an earlier one. Used in the engine's thread; a row belongs to whoever calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from model.state import State
from service.engine.scheduling.sequence import PromptReader
from service.engine.states.prefix_cache import StateCache, Trail
from service.kernel.api.interface import Kernel, RowResult

WORTH_A_STATE = 8  # tokens that a state where prompts part must save over the one before it


class Stretch(NamedTuple):
    """What is read in one call. ``keep`` is as in RowWork; ``cut``: it ends there, more follows."""

    feed: Sequence[int]
    keep: int
    cut: bool


class CachedPrompt(PromptReader):
    """``trail`` is that of ``tokens``, None where the cache must not be asked or told.

    ``leads``: other sequences wait for the state before the last token.
    """

    def __init__(
        self,
        tokens: Sequence[int],
        cache: StateCache,
        trail: Trail | None,
        *,
        leads: bool = False,
    ) -> None:
        super().__init__(tokens)
        self.before_last: State | None = None
        self._cache = cache
        self._trail = trail if cache.enabled else None
        self._leads = leads
        self._skipped = 0  # tokens at the beginning that others have read
        self._keeping = 0  # where the call under way copies the state
        self._stops: deque[int] = deque()  # where else, in order

    @property
    def remembers(self) -> bool:
        """Whether what follows the prompt can be put into the cache."""
        return self._trail is not None

    @property
    def cached(self) -> int:
        """How many tokens need not be read, the [END] before the prompt not counted."""
        return max(0, self._skipped - 1)

    @property
    def newly_read(self) -> int:
        """How many tokens were read, the first of all not counted."""
        return max(0, self.read - max(1, self._skipped))

    def begin(self, kernel: Kernel, row: int) -> None:
        """Skips what the cache knows. The row must stand at the beginning."""
        parting = 0
        if self._trail is not None:
            found = self._cache.find(self._trail, len(self.tokens) - 1)
            if found is not None:
                parting = found.parting
                self.skip(found.length, found.state, kernel, row)
        self._stops.extend(sorted(self._places(parting)))

    def _places(self, parting: int) -> Iterator[int]:
        """After how many tokens the state is worth a copy."""
        last = len(self.tokens) - 1
        if self._trail is not None:
            if self.read + WORTH_A_STATE <= parting < last:
                yield parting
            step = self._trail.spacing
            for place in range((self.read // step + 1) * step, last - WORTH_A_STATE, step):
                if abs(place - parting) > WORTH_A_STATE:
                    yield place
        if self._trail is not None or self._leads:
            yield last

    def skip(self, length: int, state: State, kernel: Kernel, row: int) -> None:
        """Goes on from a state that has read the first ``length`` tokens."""
        kernel.restore(row, state)
        self.read = self._skipped = length
        if length == len(self.tokens) - 1:
            self.before_last = state

    def stretch(self, steps: int) -> Stretch:
        """The next call's work. It copies one state at most, so it ends early before a second."""
        while self._stops and self._stops[0] <= self.read:
            self._stops.popleft()
        near = [stop for stop in list(self._stops)[:2] if stop <= self.read + steps]
        self._keeping = near[0] if near else 0
        keep = self._keeping - self.read if near else 0
        if len(near) == 2:
            return Stretch(self.tokens[self.read : self._keeping], keep, cut=True)
        return Stretch(self.window(steps), keep, cut=False)

    def take(self, result: RowResult) -> None:
        """Settles the call."""
        self.read += result.read
        if result.kept is None:
            return
        if self._trail is not None:
            self._cache.put(self._trail, self._keeping, result.kept)
        if self._keeping == len(self.tokens) - 1:
            self.before_last = result.kept

    def remember(self, further: Sequence[int], state: State) -> None:
        """Keeps the state after the prompt and further tokens, for a text that goes on from there.

        Only where it :attr:`remembers`.
        """
        if self._trail is not None:
            trail = self._trail.followed_by(further)
            self._cache.put(trail, len(trail.tokens), state)
