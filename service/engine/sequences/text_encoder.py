"""Encoding of a task's texts within the limits of the options. Thread-safe.

A text that is too long is refused before it is encoded, or as soon as it has too many tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.errors import InvalidTask
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Generate, Prompt, Score


class TextEncoder:
    """Encodes for one model, within the limits of the options."""

    def __init__(self, tokenizer: Tokenizer, options: EngineOptions) -> None:
        self._tokenizer = tokenizer
        self._most = options.prompt_tokens
        self._most_logprobs = options.answer_logprobs

    def ids(self, field: str, text: str) -> list[int]:
        """The token ids of a text. Raises InvalidTask for ``field``."""
        self._check_length(field, text)
        try:
            ids = self._tokenizer.encode(text, self._most)
        except ValueError as error:
            raise InvalidTask(field, str(error)) from error
        self._check_count(field, len(ids))
        return ids

    def pieces(self, field: str, text: str) -> list[Piece]:
        """The tokens of a text with their texts. Raises InvalidTask for ``field``."""
        self._check_length(field, text)
        try:
            pieces = self._tokenizer.pieces(text, self._most)
        except ValueError as error:
            raise InvalidTask(field, str(error)) from error
        self._check_count(field, len(pieces))
        return pieces

    def prompt(self, task: Generate) -> list[Piece]:
        """The tokens of a prompt. Their texts are empty unless they are reported."""
        reported = task.echo and task.logprobs is not None
        self._check_report(task, self._at_least(task.prompt) if reported else 0)
        if not isinstance(task.prompt, str):
            return self._given(task.prompt)
        if not reported:
            return [Piece(token, "") for token in self.ids("prompt", task.prompt)]
        pieces = self.pieces("prompt", task.prompt)
        self._check_report(task, len(pieces))
        return pieces

    def embedded(self, text: Prompt, field: str) -> list[int]:
        """The tokens of a text of an Embed task, with [END] before those of a text."""
        if isinstance(text, str):
            return [self._tokenizer.end, *self.ids(field, text)]
        return [piece.id for piece in self._given(text, field)]

    def scored(self, task: Score) -> list[list[Piece]]:
        """The tokens of each text of a Score task."""
        self._check_total(sum(map(self._tokenizer.at_least, task.texts)))
        encoded: list[list[Piece]] = []
        total = 0
        for text in task.texts:
            encoded.append(self.pieces("texts", text))
            total += len(encoded[-1])
            self._check_total(total)
        return encoded

    def _check_total(self, tokens: int) -> None:
        if tokens > self._most_logprobs:
            raise InvalidTask(
                "texts",
                f"expected at most {self._most_logprobs} tokens in all, got {tokens} or more",
            )

    def _check_report(self, task: Generate, prompt_tokens: int) -> None:
        if task.logprobs is not None:
            self.check_logprobs((prompt_tokens + task.max_tokens) * (1 + task.logprobs) * task.n)

    def check_logprobs(self, count: int) -> None:
        """Raises InvalidTask for more log-probabilities than an answer may have."""
        if count > self._most_logprobs:
            raise InvalidTask(
                "logprobs",
                f"expected at most {self._most_logprobs} log-probabilities in an answer, got "
                f"{count} or more: (max_tokens, with echo also the tokens of the prompt) x "
                "(1 + logprobs) x n, for each prompt; lower one of them",
            )

    def _at_least(self, prompt: str | Sequence[int]) -> int:
        return self._tokenizer.at_least(prompt) if isinstance(prompt, str) else len(prompt)

    def _given(self, tokens: Sequence[int], field: str = "prompt") -> list[Piece]:
        if not tokens:
            raise InvalidTask(field, "expected at least one token id in a list")
        self._check_count(field, len(tokens))
        last = self._tokenizer.size - 1
        for token in tokens:
            if not 0 <= token <= last:
                raise InvalidTask(field, f"expected token ids from 0 to {last}, got {token}")
        decoder = self._tokenizer.decoder()
        return [Piece(token, decoder.push(token)) for token in tokens]

    def _check_length(self, field: str, text: str) -> None:
        self._check_count(field, self._tokenizer.at_least(text))

    def _check_count(self, field: str, count: int) -> None:
        if count > self._most:
            raise InvalidTask(field, f"expected at most {self._most} tokens, got {count} or more")
