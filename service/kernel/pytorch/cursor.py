"""How far one row has come with its work within a call: what it reads next, what it asks then.

Pure bookkeeping for kernels that step in Python. Knows no tensors.
"""

from __future__ import annotations

from service.kernel.api.interface import RowResult, RowWork
from service.kernel.pytorch.sampler import Answer, Ask


class RowCursor:
    """Walks through a :class:`RowWork` one read token at a time and fills its result."""

    def __init__(self, work: RowWork, end: int) -> None:
        self.row = work.row
        self.result = RowResult()
        self._work = work
        self._end = end
        self._seen = work.seen

    def next_token(self) -> int | None:
        """The token to read in the next step; None when the work is done."""
        work, result = self._work, self.result
        if result.failed:
            return None
        if result.read < len(work.feed):
            return work.feed[result.read]
        if not result.drawn or len(result.drawn) >= work.draw:
            return None
        last = result.drawn[-1].token
        return None if last == self._end else last

    def ask(self) -> Ask | None:
        """Counts one token as read; what is wanted of the logits after it, None for nothing."""
        work, result = self._work, self.result
        ends_feed = result.read == len(work.feed) - 1
        result.read = min(result.read + 1, len(work.feed))
        if result.read < len(work.feed):
            if not work.score:
                return None
            return Ask(sampling=work.sampling, score=work.feed[result.read])
        if work.draw == 0 and not work.distribution:
            return None
        return Ask(
            sampling=work.sampling,
            position=work.position + len(result.drawn),
            seen=self._seen,
            distribution=work.distribution and ends_feed,
            draw=work.draw > 0,
        )

    def keeps_now(self) -> bool:
        """Whether the state after the token just read is wanted."""
        result = self.result
        return result.kept is None and not result.drawn[1:] and result.read == self._work.keep > 0

    def take(self, answer: Answer | None) -> None:
        """Records what the logits gave; None: they were not finite numbers."""
        if answer is None:
            self.result.failed = True
            return
        if answer.scored is not None:
            self.result.scored.append(answer.scored)
        if answer.logprobs_V is not None:
            self.result.logprobs_V = answer.logprobs_V
        if answer.drawn is not None:
            self.result.drawn.append(answer.drawn)
            if self._work.sampling.repetition_penalty != 1.0:
                self._seen = {*self._seen, answer.drawn.token}
