"""The tokens of a choice that penalties apply to.

The repetition penalty applies to tokens of the prompt and to generated ones, the presence and
frequency penalties to generated ones, by their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from service.engine.states.state_token import Snapshot
from service.kernel.api.interface import Sampling


class PenalizedTokens:
    """``prompt``: its tokens. ``replayed``: tokens that were generated earlier and are read again.
    ``resumed``: where an earlier task ended.
    """

    def __init__(
        self,
        sampling: Sampling,
        prompt: Iterable[int],
        replayed: Sequence[int],
        resumed: Snapshot | None,
    ) -> None:
        self._repetition = sampling.repetition_penalty != 1.0
        self._counted = sampling.counts_tokens
        self._seen = {*prompt, *replayed}
        self._counts = Counter(replayed if self._counted else ())
        if resumed is not None:
            self._seen |= resumed.seen
            self._counts.update(resumed.counts)

    def add(self, token: int) -> bool:
        """Add a generated token. Returns whether it was not there."""
        is_new = token not in self._seen
        self._seen.add(token)
        if self._counted:
            self._counts[token] += 1
        return is_new

    @property
    def repeated(self) -> Collection[int]:
        """The tokens under the repetition penalty; none if there is no such penalty."""
        return self._seen if self._repetition else ()

    @property
    def counts(self) -> Mapping[int, int]:
        """The number of each generated token, if a penalty needs it."""
        return dict(self._counts) if self._counted else {}

    def seen_before(self, new: Collection[int] = ()) -> frozenset[int]:
        """All tokens, without those that were new."""
        return frozenset(self._seen.difference(new))

    def counts_before(self, unread: Sequence[int] = ()) -> Mapping[int, int]:
        """The counts before the last tokens, which a continuation reads, and counts, again."""
        return self._counts - Counter(unread if self._counted else ())
