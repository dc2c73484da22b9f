"""Turns tasks for a language model into requests made of sequences. Runs in any thread.

Checks what only the model can know: the number of tokens, ids in range, rows. Ranges of plain
numbers are checked at the door, and again here where a wrong one would do harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.errors import InvalidTask, WrongKind
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Classify, Generate, NextWord, Score, Task
from service.engine.scheduling.sequence import AnswerSize, Request
from service.engine.sequences.generation import Choice, SharedStart
from service.engine.sequences.next_word import SearchWorker, SharedSearch, WordQuery, start_of
from service.engine.sequences.sampling_bounds import check_sampling
from service.engine.sequences.scoring import ScoredText, ScoreSheet
from service.engine.sequences.subword_tokens import Spelling
from service.engine.sequences.text_encoder import TextEncoder
from service.engine.sequences.word_search import WordSearch
from service.engine.sequences.word_tokens import WordVocabulary
from service.engine.states.prefix_cache import StateCache, Trail
from service.engine.states.prompt_reader import CachedPrompt
from service.engine.states.state_token import Sealer, Snapshot


class RequestMaker:
    """Makes requests for one model."""

    def __init__(
        self,
        name: str,
        tokenizer: Tokenizer,
        options: EngineOptions,
        cache: StateCache,
        sealer: Sealer,
    ) -> None:
        self._name = name
        self._cache = cache
        self._sealer = sealer
        self._tokenizer = tokenizer
        self._options = options
        self._texts = TextEncoder(tokenizer, options)
        is_word = tokenizer.kind == "word"
        self._vocabulary = WordVocabulary(tokenizer) if is_word else Spelling(tokenizer)

    def make(self, task: Task) -> Request:
        """Raises InvalidTask and WrongKind."""
        match task:
            case Generate():
                return self._generate(task)
            case Score():
                return self._score(task)
            case NextWord():
                return self._next_word(task)
            case Classify():
                raise WrongKind(self._name, "language-model", "classifier")

    def _generate(self, task: Generate) -> Request:
        self._check(task)
        brought = None if task.state is None else self._sealer.open(task.state, task.tenant)
        pieces = self._continued(task, brought)
        sampling = replace(
            task.sampling, logprob=task.logprobs is not None, top_logprobs=task.logprobs or 0
        )
        if brought is not None and not task.seed_is_given:
            sampling = replace(sampling, seed=brought.seed)
        prompts = self._prompts(task, brought, [piece.id for piece in pieces])
        shared = SharedStart(task, prompts[0], self._sealer, brought)
        choices = [
            Choice(shared, replace(sampling, choice=index), self._tokenizer, pieces, prompt)
            for index, prompt in enumerate(prompts)
        ]
        return Request(choices, task.deadline_seconds, _answer_size(task, len(pieces)))

    def _check(self, task: Generate) -> None:
        if not 1 <= task.n <= self._options.rows:
            raise InvalidTask("n", f"expected 1 to {self._options.rows}, got {task.n}")
        if task.max_tokens < 0:
            raise InvalidTask("max_tokens", f"expected 0 or more, got {task.max_tokens}")
        if "" in task.stop:
            raise InvalidTask("stop", "a stop string must not be empty")
        check_sampling(task.sampling)
        if task.logprobs is not None and task.logprobs < 0:
            raise InvalidTask("logprobs", f"expected 0 or more, got {task.logprobs}")
        if task.return_state and (task.n > 1 or task.max_tokens == 0):
            raise InvalidTask("return_state", "expected n of 1 and max_tokens of 1 or more")

    def _prompts(
        self, task: Generate, brought: Snapshot | None, tokens: Sequence[int]
    ) -> list[CachedPrompt]:
        """One for each choice. What is scored is read by all and unknown to the cache, as is what
        follows a state that was brought.
        """
        scores = task.echo and task.logprobs is not None
        cached = brought is None and not scores
        if brought is not None:
            tokens = [brought.last, *(tokens if task.prompt else brought.unread)]
        else:
            tokens = [self._tokenizer.end, *tokens]
        trail = self._trail(task.tenant, tokens) if cached else None
        leads = (task.n > 1 and not scores) or (task.return_state and bool(task.stop))
        return [
            CachedPrompt(tokens, self._cache, trail, leads=leads and index == 0)
            for index in range(task.n)
        ]

    def _continued(self, task: Generate, brought: Snapshot | None) -> list[Piece]:
        """The prompt, encoded together with the shown part of tokens that a stop string has cut.

        The texts of the pieces join to the prompt alone.
        """
        if brought is None or not brought.shown or not task.prompt:
            return self._texts.prompt(task)
        decoder = self._tokenizer.decoder(brought.pending)
        shown = "".join(map(decoder.push, brought.unread))[: brought.shown]
        if not isinstance(task.prompt, str):
            parts = [Piece(token, "") for token in self._texts.ids("prompt", shown)]
            return parts + self._texts.prompt(task)
        pieces, skip = [], len(shown)
        for piece in self._texts.prompt(replace(task, prompt=shown + task.prompt)):
            pieces.append(Piece(piece.id, piece.text[skip:]))
            skip = max(0, skip - len(piece.text))
        return pieces

    def _trail(self, tenant: str, tokens: Sequence[int]) -> Trail | None:
        return Trail(tenant, tokens) if self._cache.enabled else None

    def _context(self, task: NextWord, context: str) -> CachedPrompt:
        tokens = [self._tokenizer.end, *self._texts.ids("prompt", context)]
        return CachedPrompt(tokens, self._cache, self._trail(task.tenant, tokens))

    def _score(self, task: Score) -> Request:
        most = self._options.rows + self._options.waiting
        if not 1 <= len(task.texts) <= most:
            raise InvalidTask("texts", f"expected 1 to {most} texts, got {len(task.texts)}")
        texts = self._texts.scored(task)
        tokens = sum(map(len, texts))
        sheet = ScoreSheet(texts, self._tokenizer.unknown)
        sequences = [
            ScoredText(self._tokenizer, pieces, sheet, index) for index, pieces in enumerate(texts)
        ]
        return Request(sequences, task.deadline_seconds, AnswerSize(tokens, tokens))

    def _next_word(self, task: NextWord) -> Request:
        if task.top < 1:
            raise InvalidTask("top", f"expected 1 or more, got {task.top}")
        if isinstance(self._vocabulary, WordVocabulary):
            start = start_of(task.prompt, self._tokenizer)
            prompt = self._context(task, start.context)
            query = WordQuery(self._vocabulary, start, prompt, task.top)
            return Request([query], task.deadline_seconds)
        return self._search(task, self._vocabulary)

    def _search(self, task: NextWord, spelling: Spelling) -> Request:
        start = start_of(task.prompt, self._tokenizer)
        search = WordSearch(
            spelling,
            task.top,
            start.known.encode(),
            start.required.encode(),
            self._options.search_expansions,
        )
        rows = min(self._options.search_rows, self._options.rows)
        shared = SharedSearch(search, self._context(task, start.context), task.top, rows)
        workers = [SearchWorker(shared, leader=index == 0) for index in range(rows)]
        return Request(workers, task.deadline_seconds)


def _answer_size(task: Generate, prompt_tokens: int) -> AnswerSize:
    tokens = task.n * (task.max_tokens + prompt_tokens * (task.echo and task.logprobs is not None))
    logprobs = 0 if task.logprobs is None else tokens * (1 + task.logprobs)
    return AnswerSize(tokens, logprobs)
