"""A prompt that is read from as far on as the state cache knows it, and leaves states behind.

States worth keeping on the way: before the last token (from there a prompt that comes again is
generated from, and the choices of one task share it), at even distances, and where the prompt parts
from an earlier one. Used in the engine's thread; a row belongs to whoever calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from model.state import State
from service.engine.states.prefix_cache import PrefixCache, PrefixHashes
from service.kernel.api.interface import Kernel, RowResult

MIN_STATE_SPACING = 8  # tokens that a state where prompts part must save over the one before it


class PrefillChunk(NamedTuple):
    """What is read in one call. ``keep`` is as in RowWork; ``cut``: it ends there, more follows."""

    feed: Sequence[int]
    keep: int
    cut: bool


class PromptReader:
    """Hands out a list of tokens bit by bit, without copying all of it for every step."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = tokens
        self.read = 0

    @property
    def done(self) -> bool:
        """Whether all tokens were read."""
        return self.read == len(self.tokens)

    def window(self, steps: int) -> Sequence[int]:
        """The tokens of the next call: one more than it can read, for what scores the next."""
        return self.tokens[self.read : self.read + steps + 1]


class CachedPrompt(PromptReader):
    """``hashes`` is that of ``tokens``, None where the cache must not be asked or told.

    ``leads``: other sequences wait for the state before the last token.
    """

    def __init__(
        self,
        tokens: Sequence[int],
        cache: PrefixCache,
        hashes: PrefixHashes | None,
        *,
        leads: bool = False,
    ) -> None:
        super().__init__(tokens)
        self.before_last: State | None = None
        self._cache = cache
        self._hashes = hashes if cache.enabled else None
        self._leads = leads
        self._skipped = 0  # tokens at the beginning that others have read
        self._keeping = 0  # where the call under way copies the state
        self._stops: deque[int] = deque()  # where else, in order

    @property
    def remembers(self) -> bool:
        """Whether what follows the prompt can be put into the cache."""
        return self._hashes is not None

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
        divergence = 0
        if self._hashes is not None:
            found = self._cache.find(self._hashes, len(self.tokens) - 1)
            if found is not None:
                divergence = found.divergence
                self.skip(found.length, found.state, kernel, row)
        self._stops.extend(sorted(self._places(divergence)))

    def _places(self, divergence: int) -> Iterator[int]:
        """After how many tokens the state is worth a copy."""
        last = len(self.tokens) - 1
        if self._hashes is not None:
            if self.read + MIN_STATE_SPACING <= divergence < last:
                yield divergence
            step = self._hashes.spacing
            for place in range((self.read // step + 1) * step, last - MIN_STATE_SPACING, step):
                if abs(place - divergence) > MIN_STATE_SPACING:
                    yield place
        if self._hashes is not None or self._leads:
            yield last

    def skip(self, length: int, state: State, kernel: Kernel, row: int) -> None:
        """Goes on from a state that has read the first ``length`` tokens."""
        kernel.restore(row, state)
        self.read = self._skipped = length
        if length == len(self.tokens) - 1:
            self.before_last = state

    def chunk(self, steps: int) -> PrefillChunk:
        """The next call's work. It copies one state at most, so it ends early before a second."""
        while self._stops and self._stops[0] <= self.read:
            self._stops.popleft()
        near = [stop for stop in list(self._stops)[:2] if stop <= self.read + steps]
        self._keeping = near[0] if near else 0
        keep = self._keeping - self.read if near else 0
        if len(near) == 2:
            return PrefillChunk(self.tokens[self.read : self._keeping], keep, cut=True)
        return PrefillChunk(self.window(steps), keep, cut=False)

    def take(self, result: RowResult) -> None:
        """Settles the call."""
        self.read += result.read
        if result.kept is None:
            return
        if self._hashes is not None:
            self._cache.put(self._hashes, self._keeping, result.kept)
        if self._keeping == len(self.tokens) - 1:
            self.before_last = result.kept

    def remember(self, further: Sequence[int], state: State) -> None:
        """Keeps the state after the prompt and further tokens, for a text that goes on from there.

        Only where it :attr:`remembers`.
        """
        if self._hashes is not None:
            hashes = self._hashes.extended_by(further)
            self._cache.put(hashes, len(hashes.tokens), state)
