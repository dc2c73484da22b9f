"""The progress of one row through its work within a call.

Used by kernels that step in Python.
"""

from __future__ import annotations

from service.kernel.api.interface import RowResult, RowWork
from service.kernel.api.token_automaton import BoolArray
from service.kernel.pytorch.sampler import SamplerRequest, SamplerResult


class RowCursor:
    """Steps through a :class:`RowWork` one token at a time and fills its result."""

    def __init__(self, work: RowWork, end: int) -> None:
        self.row = work.row
        self.result = RowResult()
        self._work = work
        self._end = end
        self._seen = work.seen
        self._counts = work.counts
        self._constraint_state = work.constraint_state

    def next_token(self) -> int | None:
        """The token to read in the next step; None when the work is done."""
        work, result = self._work, self.result
        if result.failed:
            return None
        if result.read < len(work.feed):
            return work.feed[result.read]
        if not result.tokens or len(result.tokens) >= work.sample:
            return None
        last = result.tokens[-1]
        return None if last == self._end else last

    def ask(self) -> SamplerRequest | None:
        """Count one token as read. Returns the request for the logits after it, or None."""
        work, result = self._work, self.result
        ends_feed = result.read == len(work.feed) - 1
        result.read = min(result.read + 1, len(work.feed))
        if result.read < len(work.feed):
            if not work.score:
                return None
            return SamplerRequest(sampling=work.sampling, score=work.feed[result.read])
        if work.sample == 0 and not work.distribution:
            return None
        return SamplerRequest(
            sampling=work.sampling,
            position=work.position + len(result.tokens),
            seen=self._seen,
            distribution=work.distribution and ends_feed,
            sample=work.sample > 0,
            counts=self._counts,
            allowed_V=self._allowed(),
        )

    def _allowed(self) -> BoolArray | None:
        constraint = self._work.constraint
        return None if constraint is None else constraint.allowed(self._constraint_state)

    def keeps_now(self) -> bool:
        """Whether the state after the token just read is to be copied."""
        result = self.result
        return result.kept is None and not result.tokens[1:] and result.read == self._work.keep > 0

    def take(self, answer: SamplerResult | None) -> None:
        """Record the sampler's result; None means that the logits were not finite."""
        if answer is None:
            self.result.failed = True
            return
        if answer.scored is not None:
            self.result.scored.append(answer.scored)
        if answer.logprobs_V is not None:
            self.result.logprobs_V = answer.logprobs_V
        if answer.generated is not None:
            self.result.tokens.append(answer.generated.token)
            if self._work.constraint is not None:
                self._constraint_state = self._work.constraint.after(
                    self._constraint_state, [answer.generated.token]
                )
            if self._work.sampling.reports:
                self.result.generated.append(answer.generated)
            if self._work.sampling.repetition_penalty != 1.0:
                self._seen = {*self._seen, answer.generated.token}
            if self._work.sampling.counts_tokens:
                token = answer.generated.token
                self._counts = {**self._counts, token: self._counts.get(token, 0) + 1}
