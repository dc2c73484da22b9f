"""Log-probabilities of tokens as they are reported: with texts, and with names on request.

The text of a prompt's token is the part of the prompt that it encodes, so the texts of an unknown
word and of a part of a character are not those of the vocabulary. Names tell such tokens apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.tasks import TokenLogprob
from service.kernel.api.interface import Scored


class TokenReports:
    """Makes the reports of one choice. ``named``: whether they have names."""

    def __init__(self, tokenizer: Tokenizer, *, named: bool) -> None:
        self._tokenizer = tokenizer
        self._named = named

    def echoed(self, scores: Sequence[Scored], pieces: Sequence[Piece]) -> tuple[TokenLogprob, ...]:
        """The tokens of a prompt; none if they have no scores."""
        if not scores:
            return ()
        return tuple(
            self._report(score, piece.text, self._name_in_prompt(piece) if self._named else "")
            for score, piece in zip(scores, pieces, strict=True)
        )

    def generated(self, scored: Scored, end: float | None = None) -> TokenLogprob:
        """A generated token. ``end``: the log-probability of [END] in its place."""
        name = self._tokenizer.name_of(scored.token) if self._named else ""
        report = self._report(scored, self._tokenizer.text_of(scored.token), name)
        return report if end is None else report._replace(end=end)

    def _name_in_prompt(self, piece: Piece) -> str:
        """The name of a token of the prompt: an unknown word is named by itself."""
        if piece.id == self._tokenizer.unknown and piece.text:
            return piece.text
        return self._tokenizer.name_of(piece.id)

    def _report(self, scored: Scored, text: str, name: str) -> TokenLogprob:
        text_of, name_of = self._tokenizer.text_of, self._tokenizer.name_of
        top = tuple((text_of(token), logprob) for token, logprob in scored.top)
        names: tuple[str, ...] = ()
        if self._named:
            alternatives = (
                name if token == scored.token else name_of(token) for token, _ in scored.top
            )
            names = (name, *alternatives)
        return TokenLogprob(text, scored.logprob, top, names=names)
