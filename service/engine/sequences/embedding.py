"""One text of an Embed task: the hidden state of the last layer after the text."""

from __future__ import annotations

from collections.abc import Sequence

from service.engine.api.errors import DeadlineExceeded
from service.engine.api.tasks import Embedding, Event, Failed, TextsEmbedded
from service.engine.scheduling.sequence import RowSequence
from service.engine.states.prompt_reader import PromptReader
from service.kernel.api.interface import RowResult, RowWork


class EmbeddingCollector:
    """Collects the vectors of one task's texts, in any order."""

    def __init__(self, texts: int) -> None:
        self._results: list[Embedding | None] = [None] * texts

    def fill(self, index: int, result: Embedding) -> list[Event]:
        """Store the vector of one text. Returns the answer after the last one."""
        self._results[index] = result
        complete = [result for result in self._results if result is not None]
        if len(complete) < len(self._results):
            return []
        return [TextsEmbedded(tuple(complete))]


class EmbeddingSequence(RowSequence):
    """Reads text ``index`` of the task. ``lead``: tokens before those of the text."""

    def __init__(
        self, tokens: Sequence[int], lead: int, collector: EmbeddingCollector, index: int
    ) -> None:
        super().__init__()
        self._prompt = PromptReader(tokens)
        self._lead = lead
        self._collector = collector
        self._index = index

    def work(self, steps: int, max_samples: int) -> RowWork | None:  # noqa: ARG002
        """The next tokens of the text."""
        return RowWork(row=self.row, feed=self._prompt.window(steps))

    def take(self, result: RowResult) -> list[Event]:
        """The answer, once the last text is read."""
        self._prompt.read += result.read
        self.prompt_read = max(0, self._prompt.read - self._lead)
        if not self._prompt.done:
            return []
        self.ended_by = "done"
        hidden_H = self.state.hidden_LBH[-1, 0].numpy()
        return self._collector.fill(self._index, Embedding(hidden_H, self.prompt_read))

    def expire(self) -> list[Event]:
        """Fail: there is no partial answer."""
        self.ended_by = "deadline"
        return [Failed(DeadlineExceeded())]
