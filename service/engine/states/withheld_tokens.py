"""The generated tokens of a choice whose text is not completely shown yet.

Text is withheld while it may become a stop string or while a character is incomplete. Shown text is
attributed to the tokens in order, so that a token is reported with its text, and so that a text
that ends inside a token can be continued from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from service.engine.api.tasks import TokenLogprob
from service.engine.states.trail import PriorState


@dataclass(slots=True)
class GeneratedToken:
    """A token with the text that it completed.

    ``pending``: the bytes of an incomplete character before it. ``is_new``: whether the token had
    not been sampled or read before.
    """

    token: int
    text: str
    pending: bytes
    is_new: bool
    report: TokenLogprob | None
    before: PriorState | None


class WithheldTokens:
    """Tokens in order; ``shown`` characters of the first one are shown."""

    def __init__(self) -> None:
        self.tokens: deque[GeneratedToken] = deque()
        self.shown = 0

    @property
    def characters(self) -> int:
        """The length of the text of these tokens, with the shown part of the first one."""
        return sum(len(generated.text) for generated in self.tokens)

    def add(self, generated: GeneratedToken) -> None:
        """Add a token without visible text."""
        self.tokens.append(generated)

    def complete(self, text: str) -> None:
        """Add text to the last token: the replacement for an incomplete character at the end."""
        if self.tokens:
            self.tokens[-1].text += text

    def show(self, characters: int, *, whole: bool) -> Iterator[GeneratedToken]:
        """Show ``characters`` more. Yields the tokens whose text is now completely shown.

        The last token stays unless its last character is ``whole``.
        """
        self.shown += characters
        while self.tokens and len(self.tokens[0].text) <= self.shown:
            if len(self.tokens) == 1 and not whole:
                return
            self.shown -= len(self.tokens[0].text)
            yield self.tokens.popleft()

    def cut(self) -> Iterator[GeneratedToken]:
        """The token that is shown in part, with its text truncated, when no more text is shown."""
        if self.shown and self.tokens:
            self.tokens[0].text = self.tokens[0].text[: self.shown]
            yield self.tokens[0]
