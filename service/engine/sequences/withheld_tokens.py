"""The generated tokens of a choice whose text is not all shown yet.

Text is withheld while it may become a stop string, or while a character is not whole. What is shown
is attributed to the tokens in order, so that a token is reported together with its text, and a text
that ends inside a token can go on from there. Knows no events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from model.state import State
from service.engine.api.tasks import TokenLogprob


class PriorState(NamedTuple):
    """Where a sequence stood before a token: its state, and the token that it reads next."""

    state: State
    last: int


@dataclass(slots=True)
class GeneratedToken:
    """A token with the text that it completed.

    ``pending``: the bytes of a character that was not whole before it. ``is_new``: whether it
    was generated or read for the first time.
    """

    token: int
    text: str
    pending: bytes
    is_new: bool
    report: TokenLogprob | None
    before: PriorState | None


class WithheldTokens:
    """Tokens in order; of the first of them ``shown`` characters are shown."""

    def __init__(self) -> None:
        self.tokens: deque[GeneratedToken] = deque()
        self.shown = 0

    def add(self, generated: GeneratedToken) -> None:
        """Adds a token, nothing of which is shown."""
        self.tokens.append(generated)

    def complete(self, text: str) -> None:
        """Adds text to the last token: what becomes of half a character when no more comes."""
        if self.tokens:
            self.tokens[-1].text += text

    def show(self, characters: int, *, whole: bool) -> Iterator[GeneratedToken]:
        """So many more characters are shown; the tokens whose text is now all shown.

        The last token stays unless its last character is ``whole``.
        """
        self.shown += characters
        while self.tokens and len(self.tokens[0].text) <= self.shown:
            if len(self.tokens) == 1 and not whole:
                return
            self.shown -= len(self.tokens[0].text)
            yield self.tokens.popleft()

    def cut(self) -> Iterator[GeneratedToken]:
        """The token that is shown in part, its text cut there, when no more is shown."""
        if self.shown and self.tokens:
            self.tokens[0].text = self.tokens[0].text[: self.shown]
            yield self.tokens[0]
