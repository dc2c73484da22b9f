"""Makes requests, with their sequences, from tasks for a language model. Thread-safe.

Also checks everything that needs the model: numbers of tokens and token ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.errors import WrongKind
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Classify, Embed, Generate, NextWord, Score, Task
from service.engine.constraints.compiler import ConstraintCompiler
from service.engine.scheduling.sequence import AnswerSize, Request, embedding_size
from service.engine.sequences.embedding import EmbeddingCollector, EmbeddingSequence
from service.engine.sequences.generation import ChoiceSequence
from service.engine.sequences.next_word import Question, SearchWorker, SharedSearch, WordQuery
from service.engine.sequences.scoring import ScoreCollector, ScoreSequence
from service.engine.sequences.subword_tokens import Spelling
from service.engine.sequences.task_bounds import (
    check_bias_ids,
    check_generate,
    check_next_word,
    check_texts,
)
from service.engine.sequences.text_encoder import TextEncoder
from service.engine.sequences.word_boundaries import WordStart, find_word_start
from service.engine.sequences.word_search import WordSearch
from service.engine.sequences.word_tokens import WordVocabulary
from service.engine.states.prefix_cache import PrefixCache, PrefixHashes
from service.engine.states.prompt_reader import CachedPrompt
from service.engine.states.shared_start import OpenChoices, SharedStart, withholds
from service.engine.states.state_token import LARGEST_CHOICE_INDEX, Snapshot, StateTokenCodec
from service.kernel.api.interface import Sampling


class RequestFactory:
    """Makes requests for one model. ``hidden``: units of its last layer."""

    def __init__(
        self,
        name: str,
        tokenizer: Tokenizer,
        options: EngineOptions,
        cache: PrefixCache,
        codec: StateTokenCodec,
        hidden: int,
    ) -> None:
        self._hidden = hidden
        self._name = name
        self._cache = cache
        self._codec = codec
        self._tokenizer = tokenizer
        self._options = options
        self._texts = TextEncoder(tokenizer, options)
        self._constraints = ConstraintCompiler(tokenizer, options)
        is_word = tokenizer.kind == "word"
        self._vocabulary = WordVocabulary(tokenizer) if is_word else Spelling(tokenizer)

    def make(self, task: Task) -> Request:
        """The request for a task. Raises InvalidTask, InvalidState, ForeignState and WrongKind, and
        what :meth:`ConstraintCompiler.compile` does.
        """
        match task:
            case Generate():
                return self._generate(task)
            case Score():
                return self._score(task)
            case NextWord():
                return self._next_word(task)
            case Embed():
                return self._embed(task)
            case Classify():
                raise WrongKind(self._name, "language-model", "classifier")

    def is_quick(self, task: Task) -> bool:
        """Whether :meth:`make` has no constraint to compile."""
        constraint = task.constraint if isinstance(task, Generate) else None
        return constraint is None or self._constraints.knows(constraint)

    def _generate(self, task: Generate) -> Request:
        check_generate(task, self._options.rows, self._options.rows + self._options.waiting)
        check_bias_ids(task.sampling, self._tokenizer.size)
        resumed = None if task.state is None else self._codec.decode(task.state, task.tenant)
        constraint = None if task.constraint is None else self._constraints.compile(task.constraint)
        sampling = replace(
            task.sampling,
            logprob=task.logprobs is not None,
            top_logprobs=task.logprobs or 0,
            choice_index=0,
        )
        if resumed is not None and not task.seed_is_given:
            sampling = replace(sampling, seed=resumed.seed)
        opened = OpenChoices(task.n * (1 + len(task.more_prompts)))
        choices: list[ChoiceSequence] = []
        sizes: list[AnswerSize] = []
        longest = 0  # prompt, in tokens with those before it
        for prompt in (task.prompt, *task.more_prompts):
            one = replace(task, prompt=prompt, more_prompts=(), sampling=sampling)
            pieces = self._continued(one, resumed)
            sizes.append(_answer_size(one, len(pieces)))
            self._texts.check_logprobs(sum(size.logprobs for size in sizes))
            prompts = self._prompts(one, resumed, [piece.id for piece in pieces])
            longest = max(longest, len(prompts[0].tokens))
            shared = SharedStart(one, prompts[0], self._codec, resumed, opened, constraint)
            choices += self._choices(shared, pieces, prompts, len(choices))
        size = AnswerSize(*map(sum, zip(*sizes, strict=True)))
        return Request(choices, task.deadline_seconds, size, longest + task.max_tokens - 1)

    def _choices(
        self,
        shared: SharedStart,
        pieces: list[Piece],
        prompts: list[CachedPrompt],
        first: int,
    ) -> list[ChoiceSequence]:
        """The choices of one prompt, numbered from ``first``."""
        task, resumed = shared.task, shared.resumed
        # The random numbers of a choice go on when it is continued.
        random = 0 if resumed is None else resumed.choice_index
        return [
            ChoiceSequence(
                shared,
                first + index,
                _of_choice(task.sampling, (random + index) % LARGEST_CHOICE_INDEX),
                self._tokenizer,
                pieces,
                prompt,
            )
            for index, prompt in enumerate(prompts)
        ]

    def _prompts(
        self, task: Generate, resumed: Snapshot | None, tokens: Sequence[int]
    ) -> list[CachedPrompt]:
        """One prompt for each choice. The cache is not used where the prompt is scored, since
        all of it is read, or after a resumed state.
        """
        scores = task.echo and task.logprobs is not None
        cached = resumed is None and not scores
        lead = 0 if resumed is None and not isinstance(task.prompt, str) else 1
        if resumed is not None:
            tokens = [resumed.last, *(tokens if task.prompt else resumed.unread)]
        elif lead:
            tokens = [self._tokenizer.end, *tokens]
        hashes = self._hashes(task.tenant, tokens) if cached else None
        leads = task.n > 1 and not scores
        return [
            CachedPrompt(
                tokens,
                self._cache,
                hashes,
                leads=(leads and index == 0) or withholds(task),
                lead=lead,
            )
            for index in range(task.n)
        ]

    def _continued(self, task: Generate, resumed: Snapshot | None) -> list[Piece]:
        """The prompt, encoded together with the shown part of tokens that a stop string has cut.

        The texts of the pieces join to the prompt alone.
        """
        if resumed is None or not resumed.shown or not task.prompt:
            return self._texts.prompt(task)
        decoder, left = self._tokenizer.decoder(resumed.pending), resumed.shown
        texts = list(map(decoder.push, resumed.unread))
        pieces = list[Piece]()
        while texts and left >= len(texts[0]) and left:  # tokens that are shown as a whole
            pieces.append(Piece(resumed.unread[len(pieces)], ""))
            left -= len(texts.pop(0))
        shown = "".join(texts)[:left]
        if not isinstance(task.prompt, str):
            parts = (
                [Piece(token, "") for token in self._texts.ids("prompt", shown)] if shown else []
            )
            return pieces + parts + self._texts.prompt(task)
        skip = len(shown)
        for piece in self._texts.prompt(replace(task, prompt=shown + task.prompt)):
            pieces.append(Piece(piece.id, piece.text[skip:]))
            skip = max(0, skip - len(piece.text))
        return pieces

    def _hashes(self, tenant: str, tokens: Sequence[int]) -> PrefixHashes | None:
        return PrefixHashes(tenant, tokens) if self._cache.enabled else None

    def _question(self, task: NextWord, start: WordStart) -> Question:
        tokens = [self._tokenizer.end, *self._texts.ids("prompt", start.context)]
        prompt = CachedPrompt(tokens, self._cache, self._hashes(task.tenant, tokens))
        return Question(task, start, prompt)

    def _score(self, task: Score) -> Request:
        check_texts(task, self._options.rows + self._options.waiting)
        texts = self._texts.scored(task)
        tokens = sum(map(len, texts))
        collector = ScoreCollector(texts, self._tokenizer.unknown)
        sequences = [
            ScoreSequence(self._tokenizer, pieces, collector, index, end=task.end)
            for index, pieces in enumerate(texts)
        ]
        size = AnswerSize(tokens, tokens, read=tokens)
        return Request(
            sequences, task.deadline_seconds, size, steps=max(map(len, texts), default=0)
        )

    def _embed(self, task: Embed) -> Request:
        check_texts(task, self._options.rows + self._options.waiting)
        collector = EmbeddingCollector(len(task.texts))
        texts = [self._texts.embedded(text, task.field) for text in task.texts]
        sequences = [
            EmbeddingSequence(tokens, int(isinstance(text, str)), collector, index)
            for index, (tokens, text) in enumerate(zip(texts, task.texts, strict=True))
        ]
        size = embedding_size(len(texts), self._hidden)._replace(read=sum(map(len, texts)))
        return Request(sequences, task.deadline_seconds, size, max(map(len, texts), default=0))

    def _next_word(self, task: NextWord) -> Request:
        check_next_word(task)
        start = find_word_start(task.prompt, self._tokenizer.kind)
        if not isinstance(self._vocabulary, WordVocabulary):
            return self._search(task, self._vocabulary, start)
        start = self._vocabulary.half_typed(task.prompt) or start
        question = self._question(task, start)
        query = WordQuery(self._vocabulary, question)
        steps = len(question.prompt.tokens)
        return Request([query], task.deadline_seconds, _reading(question), steps)

    def _search(self, task: NextWord, spelling: Spelling, start: WordStart) -> Request:
        search = WordSearch(
            spelling,
            task.top,
            start.known.encode(),
            start.required.encode(),
            self._options.search_expansions,
            end=task.end,
        )
        rows = min(self._options.search_rows, self._options.rows)
        question = self._question(task, start)
        shared = SharedSearch(search, question, rows)
        workers = [SearchWorker(shared, leader=index == 0) for index in range(rows)]
        return Request(workers, task.deadline_seconds, _reading(question))


def _of_choice(sampling: Sampling, choice_index: int) -> Sampling:
    """The options of a choice, from those of choice 0."""
    return replace(sampling, choice_index=choice_index) if choice_index else sampling


def _reading(question: Question) -> AnswerSize:
    """The size for a task that reads its prompt and has a short answer."""
    return AnswerSize(0, 0, read=len(question.prompt.tokens))


def _answer_size(task: Generate, prompt_tokens: int) -> AnswerSize:
    tokens = task.n * (task.max_tokens + prompt_tokens * (task.echo and task.logprobs is not None))
    logprobs = 0 if task.logprobs is None else tokens * (1 + task.logprobs)
    return AnswerSize(tokens, logprobs, prompt_tokens, task.n * task.max_tokens)
