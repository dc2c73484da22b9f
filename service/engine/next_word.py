"""The sequences behind a NextWord task: one row for a word model, a few for a search.

Word models: the prompt is read once and one distribution answers. Where the prompt ends in a
space, that space is taken off and the next token must begin with one, since that is where word
and bpe tokens carry it. Char and bpe models: the workers of a :class:`WordSearch` read the prompt
with the first row, then each expands one node a turn. An unfinished word is completed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from model.tokenizer import Tokenizer
from service.engine.cached_prompt import CachedPrompt, Stretch
from service.engine.errors import DeadlineExceeded
from service.engine.sequence import PromptReader, RowSequence
from service.engine.tasks import Event, Failed, NextWordsFound, Word
from service.engine.word_search import Found, Node, WordSearch
from service.engine.word_vocabulary import WordVocabulary
from service.engine.words import last_run, unfinished_word
from service.kernel.interface import Kernel, RowResult, RowWork


class Start(NamedTuple):
    """A prompt taken apart: what is read as it is, the known part of the word, what is required
    of the spelling after ``context``.
    """

    context: str
    known: str
    required: str


def start_of(prompt: str, tokenizer: Tokenizer) -> Start:
    """Where the next word starts in a prompt, for this kind of tokenizer."""
    if tokenizer.kind == "char":
        return Start(prompt, unfinished_word(prompt), "")
    if prompt.endswith(" "):
        return Start(prompt[:-1], "", " ")
    if tokenizer.kind == "word":
        return Start(prompt, "", "")
    part = unfinished_word(prompt)
    run = last_run(part)
    context = prompt[: len(prompt) - len(run)]
    if run == part and run and context.endswith(" "):
        return Start(context[:-1], "", " " + run)
    return Start(context, part[: len(part) - len(run)], run)


class WordQuery(RowSequence):
    """Asks a word model for one distribution."""

    def __init__(
        self, vocabulary: WordVocabulary, start: Start, prompt: CachedPrompt, top: int
    ) -> None:
        super().__init__()
        self._start = start
        self._prompt = prompt
        self._vocabulary = vocabulary
        self._top = top

    def start(self, kernel: Kernel) -> None:
        """Begins as far on as is known."""
        super().start(kernel)
        self._prompt.begin(kernel, self.row)

    @property
    def urgent(self) -> bool:
        """All of it is for one answer."""
        return True

    def work(self, steps: int, draws: int) -> RowWork | None:  # noqa: ARG002
        """Reads the prompt."""
        stretch = self._prompt.stretch(steps)
        return RowWork(
            row=self.row, feed=stretch.feed, distribution=not stretch.cut, keep=stretch.keep
        )

    def take(self, result: RowResult) -> list[Event]:
        """Answers when the prompt is read."""
        self._prompt.take(result)
        self.prompt_read = self._prompt.newly_read
        if result.logprobs_V is None:
            return []
        self.ended_by = "done"
        start = self._start
        words = self._vocabulary.probabilities(
            result.logprobs_V, start.context, after_space=bool(start.required)
        )
        return [answer(Found(words, 1.0), self._top, self._prompt)]

    def expire(self) -> list[Event]:
        """There is nothing to show yet."""
        self.ended_by = "deadline"
        return [Failed(DeadlineExceeded())]


class SharedSearch:
    """A search and its prompt, shared by its workers."""

    def __init__(self, search: WordSearch, prompt: CachedPrompt, top: int) -> None:
        self.search = search
        self.prompt = prompt
        self.top = top
        self.in_flight = 0


class SearchWorker(RowSequence):
    """Expands one node a turn. The ``leader`` reads the prompt first."""

    def __init__(self, shared: SharedSearch, *, leader: bool) -> None:
        super().__init__()
        self.counts = leader
        self._shared = shared
        self._leader = leader
        self._node: Node | None = None
        self._kernel: Kernel

    def start(self, kernel: Kernel) -> None:
        """Remembers whose rows hold the states; the leader begins as far on as is known."""
        super().start(kernel)
        self._kernel = kernel
        if self._leader:
            self._shared.prompt.begin(kernel, self.row)

    @property
    def urgent(self) -> bool:
        """Until the prompt is read: the search goes on among the others."""
        return self._leader and not self._shared.prompt.done

    def work(self, steps: int, draws: int) -> RowWork | None:  # noqa: ARG002
        """The prompt, or the likeliest node that no other worker has."""
        shared = self._shared
        if not shared.prompt.done:
            if not self._leader:
                return None
            self._node = shared.search.root
            stretch = shared.prompt.stretch(steps)
        else:
            self._node = shared.search.next_node()
            if self._node is None:
                return None
            if self._node.state is not None:
                self._kernel.restore(self.row, self._node.state)
            stretch = Stretch([self._node.token], keep=0, cut=False)
        shared.in_flight += 1
        return RowWork(
            row=self.row, feed=stretch.feed, distribution=not stretch.cut, keep=stretch.keep
        )

    def take(self, result: RowResult) -> list[Event]:
        """Hands the distribution to the search; the last worker of the last turn answers."""
        shared = self._shared
        shared.in_flight -= 1
        if not shared.prompt.done:
            shared.prompt.take(result)
            self.prompt_read = shared.prompt.newly_read
        if self._node is not None and result.logprobs_V is not None:
            shared.search.expand(self._node, result.logprobs_V, self._kernel.save(self.row))
            if shared.in_flight == 0 and shared.search.is_over:
                self.ended_by = "done"
                return [answer(shared.search.found, shared.top, shared.prompt)]
        return []

    def expire(self) -> list[Event]:
        """A search that was cut short is not shown."""
        self.ended_by = "deadline"
        return [Failed(DeadlineExceeded())]


def answer(found: Found, top: int, prompt: PromptReader) -> NextWordsFound:
    """The event for words that were found, likeliest first, ties by spelling."""
    possible = max(found.possible, 1e-300)
    words = sorted(
        (Word(word, probability / possible) for word, probability in found.words.items()),
        key=lambda word: (-word.probability, word.word),
    )
    covered = math.fsum(word.probability for word in words)
    shares = [word.probability / covered for word in words if word.probability > 0.0]
    return NextWordsFound(
        words=tuple(words[:top]),
        covered=min(covered, 1.0),
        entropy_bits=max(0.0, -math.fsum(share * math.log2(share) for share in shares)),
        prompt_tokens=len(prompt.tokens) - 1,
    )
