"""The sequences of a NextWord task: one row for a word model, several for a search.

Word models: the prompt is read once and one distribution gives the words. If the prompt ends in a
space, the space is removed and the next token must begin with one, since word and bpe tokens carry
their leading space. Char and bpe models: the first worker of a :class:`WordSearch` reads the
prompt, then each worker expands one node per turn. An unfinished word is completed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.engine.api.errors import DeadlineExceeded
from service.engine.api.tasks import Event, Failed, NextWord, NextWordsFound, Word
from service.engine.scheduling.sequence import RowSequence
from service.engine.sequences.word_boundaries import WordStart
from service.engine.sequences.word_search import Node, WordSearch
from service.engine.sequences.word_tokens import WordVocabulary
from service.engine.states.prompt_reader import CachedPrompt, PrefillChunk
from service.kernel.api.filters import descending
from service.kernel.api.interface import FloatArray, RowResult, RowWork
from service.kernel.api.row_state import RowState

MIN_POSSIBLE = 1e-300  # avoids a division by zero


class Question:
    """A NextWord task and its prompt. Makes the answer."""

    def __init__(self, task: NextWord, start: WordStart, prompt: CachedPrompt) -> None:
        self.start = start
        self.prompt = prompt
        self._top = task.top
        self._wants_end = task.end

    def answer(
        self, words: Sequence[str], mass_W: NDArray[np.float64], end: float
    ) -> NextWordsFound:
        """The likeliest of the words, which are sorted: ties go to the first. ``end``: the
        probability of [END].
        """
        covered = float(mass_W.sum())
        shares = mass_W[mass_W > 0.0] / max(covered, math.ulp(0.0))
        typed = self.start.typed
        best = descending(mass_W, self._top)
        return NextWordsFound(
            words=tuple(
                Word(words[index], probability, words[index][len(typed) :] if typed else None)
                for index, probability in zip(best.tolist(), mass_W[best].tolist(), strict=True)
                if probability > 0.0
            ),
            covered=min(covered, 1.0),
            entropy_bits=max(0.0, -float(shares @ np.log2(shares))),
            prompt_tokens=len(self.prompt.tokens) - 1,
            end=end if self._wants_end else None,
        )


class WordQuery(RowSequence):
    """Reads a prompt with a word model and returns one distribution."""

    def __init__(self, vocabulary: WordVocabulary, question: Question) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        self._question = question
        self._prompt = question.prompt

    def start(self) -> None:
        """Set the row to the initial state and skip what the cache knows."""
        super().start()
        self._prompt.begin(self._kernel, self.row)

    @property
    def urgent(self) -> bool:
        """Always: the task has one answer."""
        return True

    def work(self, steps: int, max_samples: int) -> RowWork | None:  # noqa: ARG002
        """The next tokens of the prompt."""
        chunk = self._prompt.chunk(steps)
        return RowWork(row=self.row, feed=chunk.feed, distribution=not chunk.cut, keep=chunk.keep)

    def take(self, result: RowResult) -> list[Event]:
        """The answer, once the prompt is read."""
        self._prompt.take(result)
        self.prompt_read = self._prompt.newly_read
        if result.logprobs_V is None:
            return []
        self.ended_by = "done"
        start = self._question.start
        mass_W = self._vocabulary.word_mass(result.logprobs_V, start)
        # A text that goes on with ``required`` does not end here.
        end = 0.0 if start.required else math.exp(result.logprobs_V[self._vocabulary.end])
        return [self._question.answer(self._vocabulary.words, mass_W, end)]

    def expire(self) -> list[Event]:
        """Fail: there is no partial answer."""
        self.ended_by = "deadline"
        return [Failed(DeadlineExceeded())]


class SharedSearch:
    """A search and its prompt, shared by its workers.

    Nodes are expanded in rounds of up to ``width``, in their order, once all nodes of a round are
    read. The result does not depend on the number of workers with a row.
    """

    def __init__(self, search: WordSearch, question: Question, width: int) -> None:
        self.search = search
        self.prompt = question.prompt
        self._question = question
        self._width = width
        self._round = [search.root]  # the leader reads it with the prompt
        self._taken = 1  # nodes of the round that workers have taken
        self._read: dict[int, tuple[FloatArray, RowState]] = {}  # by index in the round

    def take_node(self) -> tuple[int, Node] | None:
        """The next node of the round and its index; None if all are taken."""
        if not self._round:
            nodes = (self.search.next_node() for _ in range(self._width))
            self._round = [node for node in nodes if node is not None]
        index = self._taken
        if index == len(self._round):
            return None
        self._taken += 1
        return index, self._round[index]

    def put(self, index: int, logprobs_V: FloatArray, state: RowState) -> None:
        """Store the distribution after a node. The last one of a round expands the whole round."""
        self._read[index] = logprobs_V, state
        if len(self._read) < len(self._round):
            return
        results = [self._read[key] for key in sorted(self._read)]
        for node, result in zip(self._round, results, strict=True):
            self.search.expand(node, *result)
        self._round, self._taken, self._read = [], 0, {}

    @property
    def is_over(self) -> bool:
        """Whether no node is left to read."""
        return not self._round and self.search.is_over

    @property
    def answer(self) -> NextWordsFound:
        """The event for the words found."""
        found, possible, end = self.search.result
        words = sorted(found)
        mass_W = np.array([found[word] for word in words])
        possible = max(possible, MIN_POSSIBLE)
        return self._question.answer(words, mass_W / possible, end / possible)


class SearchWorker(RowSequence):
    """Reads one node per turn. The ``leader`` reads the prompt first."""

    def __init__(self, shared: SharedSearch, *, leader: bool) -> None:
        super().__init__()
        self.counts = leader
        self._shared = shared
        self._leader = leader
        self._index = 0

    def start(self) -> None:
        """Set the row to the initial state. The leader skips what the cache knows."""
        super().start()
        if self._leader:
            self._shared.prompt.begin(self._kernel, self.row)

    @property
    def urgent(self) -> bool:
        """While it has work: the task has one answer."""
        return self._leader or self._shared.prompt.done

    @property
    def searches(self) -> bool:
        """Once the prompt is read."""
        return self._shared.prompt.done

    def work(self, steps: int, max_samples: int) -> RowWork | None:  # noqa: ARG002
        """The next tokens of the prompt, or the next node of the round."""
        chunk = self._next_chunk(steps)
        if chunk is None:
            return None
        return RowWork(row=self.row, feed=chunk.feed, distribution=not chunk.cut, keep=chunk.keep)

    def _next_chunk(self, steps: int) -> PrefillChunk | None:
        prompt = self._shared.prompt
        if not prompt.done:
            return prompt.chunk(steps) if self._leader else None
        taken = self._shared.take_node()
        if taken is None:
            return None
        self._index, node = taken
        if node.state is not None:
            self._kernel.restore(self.row, node.state)
        return PrefillChunk([node.token], keep=0, cut=False)

    def take(self, result: RowResult) -> list[Event]:
        """Pass the distribution to the search. The last one of the search gives the answer."""
        shared = self._shared
        if not shared.prompt.done:
            shared.prompt.take(result)
            self.prompt_read = shared.prompt.newly_read
        if result.logprobs_V is None:
            return []
        shared.put(self._index, result.logprobs_V, self._kernel.save(self.row))
        if not shared.is_over:
            return []
        self.ended_by = "done"
        return [shared.answer]

    def expire(self) -> list[Event]:
        """Fail: the result of an unfinished search is not returned."""
        self.ended_by = "deadline"
        return [Failed(DeadlineExceeded())]
