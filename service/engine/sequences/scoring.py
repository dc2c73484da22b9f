"""One text of a Score task: the log-probability of each token, given the tokens before it.

The text is read after [END], so its first token has a probability too. The closing [END] is scored
only if the task asks for it. Scoring rows and sampling rows share the steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.errors import DeadlineExceeded
from service.engine.api.tasks import Event, Failed, TextLogprobs, TextsScored, TokenLogprob
from service.engine.scheduling.sequence import RowSequence
from service.engine.states.prompt_reader import PromptReader
from service.kernel.api.interface import RowResult, RowWork, Scored


class ScoreCollector:
    """Collects the scores of one task's texts, in any order. ``unknown``: the id of [UNK]."""

    def __init__(self, texts: Sequence[Sequence[Piece]], unknown: int | None) -> None:
        self._texts = texts
        self._unknown = unknown
        self._scores: list[TextLogprobs | None] = [None] * len(texts)

    def fill(self, index: int, scored: Sequence[Scored]) -> list[Event]:
        """Store the scores of one text. Returns the answer after the last one."""
        pieces = self._texts[index]
        tokens = tuple(
            TokenLogprob(piece.text, score.logprob, unknown=piece.id == self._unknown)
            for piece, score in zip(pieces, scored, strict=False)
        )
        end = scored[len(pieces)].logprob if len(scored) > len(pieces) else None
        self._scores[index] = TextLogprobs(
            tokens,
            logprob=sum(score.logprob for score in scored),
            unknown_tokens=sum(token.unknown for token in tokens),
            end=end,
        )
        complete = [score for score in self._scores if score is not None]
        if len(complete) < len(self._scores):
            return []
        return [TextsScored(tuple(complete), sum(map(len, self._texts)))]


URGENT_TOKENS = 256  # of a text; the rest of a longer one is read with the other sequences


class ScoreSequence(RowSequence):
    """Scores text ``index`` of the task, with [END] after it if ``end`` is true."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        pieces: Sequence[Piece],
        collector: ScoreCollector,
        index: int,
        *,
        end: bool = False,
    ) -> None:
        super().__init__()
        closing = [tokenizer.end] if end else []
        ids = [piece.id for piece in pieces]
        self._prompt = PromptReader([tokenizer.end, *ids, *closing])
        self._collector = collector
        self._index = index
        self._scored: list[Scored] = []

    @property
    def urgent(self) -> bool:
        """At the beginning, so that the answer for a short text is as fast as a first token."""
        return len(self._scored) < URGENT_TOKENS

    def work(self, steps: int, max_samples: int) -> RowWork | None:  # noqa: ARG002
        """The next tokens of the text."""
        return RowWork(row=self.row, feed=self._prompt.window(steps), score=True)

    def take(self, result: RowResult) -> list[Event]:
        """The answer, once the last token of the last text is scored; that token is not read."""
        self._prompt.read += result.read
        self._scored += result.scored
        self.prompt_read = len(self._scored)
        if len(self._scored) < len(self._prompt.tokens) - 1:
            return []
        self.ended_by = "done"
        return self._collector.fill(self._index, self._scored)

    def expire(self) -> list[Event]:
        """Fail: there is no partial answer."""
        self.ended_by = "deadline"
        return [Failed(DeadlineExceeded())]
