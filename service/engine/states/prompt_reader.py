"""The reading of prompts in chunks: skips a cached prefix and stores states for later prompts.

States are kept before the last token (a repeated prompt samples from there, and the choices of a
task share it), at regular distances, and where the prompt diverges from an earlier one. Not
thread-safe; the caller owns the row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from model.state import State
from service.engine.states.prefix_cache import PrefixCache, PrefixHashes
from service.kernel.api.interface import Kernel, RowResult

MIN_STATE_SPACING = 8  # tokens between kept states


class PrefillChunk(NamedTuple):
    """The tokens of one call. ``keep`` is as in RowWork. ``cut``: more tokens of the prompt
    follow.
    """

    feed: Sequence[int]
    keep: int
    cut: bool


class PromptReader:
    """Divides a list of tokens into the parts of successive calls."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = tokens
        self.read = 0

    @property
    def done(self) -> bool:
        """Whether all tokens were read."""
        return self.read == len(self.tokens)

    def window(self, steps: int) -> Sequence[int]:
        """The tokens of the next call, with one more than it can read, since scores are of the
        next token.
        """
        return self.tokens[self.read : self.read + steps + 1]


class CachedPrompt(PromptReader):
    """A prompt that starts after its longest cached prefix.

    ``hashes`` are those of ``tokens``, or None to bypass the cache. ``leads``: other sequences wait
    for the state before the last token. ``lead``: tokens before those of the client's prompt.
    """

    def __init__(
        self,
        tokens: Sequence[int],
        cache: PrefixCache,
        hashes: PrefixHashes | None,
        *,
        leads: bool = False,
        lead: int = 1,
    ) -> None:
        super().__init__(tokens)
        self.before_last: State | None = None
        self._cache = cache
        self._hashes = hashes if cache.enabled else None
        self._leads = leads
        self._lead = lead
        self._skipped = 0  # leading tokens whose state was known
        self._keeping = 0  # tokens after which the current call copies the state
        self._stops: deque[int] = deque()  # further such positions, in order

    @property
    def remembers(self) -> bool:
        """Whether the state after the generated text can be cached."""
        return self._hashes is not None

    @property
    def cached(self) -> int:
        """The number of skipped tokens of the client's prompt."""
        return max(0, self._skipped - self._lead)

    @property
    def newly_read(self) -> int:
        """The number of tokens read of the client's prompt."""
        return max(0, self.read - max(self._lead, self._skipped))

    def begin(self, kernel: Kernel, row: int) -> None:
        """Skip the cached prefix. The row must be in its initial state."""
        divergence = 0
        if self._hashes is not None:
            prefix = self._cache.find(self._hashes, len(self.tokens) - 1)
            if prefix is not None:
                divergence = prefix.divergence
                self.skip(prefix.length, prefix.state, kernel, row)
        self._stops.extend(sorted(self._kept_lengths(divergence)))

    def _kept_lengths(self, divergence: int) -> Iterator[int]:
        """The numbers of tokens after which the state is kept."""
        last = len(self.tokens) - 1
        if self._hashes is not None:
            if self.read + MIN_STATE_SPACING <= divergence < last:
                yield divergence
            step = self._hashes.spacing
            for length in range((self.read // step + 1) * step, last - MIN_STATE_SPACING, step):
                if abs(length - divergence) > MIN_STATE_SPACING:
                    yield length
        if self._hashes is not None or self._leads:
            yield last

    def skip(self, length: int, state: State, kernel: Kernel, row: int) -> None:
        """Continue from a state that has read the first ``length`` tokens."""
        kernel.restore(row, state)
        self.read = self._skipped = length
        if length == len(self.tokens) - 1:
            self.before_last = state

    def chunk(self, steps: int) -> PrefillChunk:
        """The work of the next call. A call copies one state at most, so it ends before a second
        one.
        """
        while self._stops and self._stops[0] <= self.read:
            self._stops.popleft()
        near = [stop for stop in list(self._stops)[:2] if stop <= self.read + steps]
        self._keeping = near[0] if near else 0
        keep = self._keeping - self.read if near else 0
        if len(near) == 2:
            return PrefillChunk(self.tokens[self.read : self._keeping], keep, cut=True)
        return PrefillChunk(self.window(steps), keep, cut=False)

    def take(self, result: RowResult) -> None:
        """Process the result of the call."""
        self.read += result.read
        if result.kept is None:
            return
        if self._hashes is not None:
            self._cache.put(self._hashes, self._keeping, result.kept)
        if self._keeping == len(self.tokens) - 1:
            self.before_last = result.kept

    def remember(self, further: Sequence[int], state: State) -> None:
        """Cache the state after the prompt and ``further`` tokens.

        Does nothing unless :attr:`remembers` is set.
        """
        if self._hashes is not None:
            hashes = self._hashes.extended_by(further)
            self._cache.put(hashes, len(hashes.tokens), state)
