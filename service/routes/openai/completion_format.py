"""The JSON of completions, whole and as a stream."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.engine.api.tasks import Echo, Event, Finished, PromptRead, Token, TokenLogprob
from service.http.json_response import array
from service.http.server_sent_events import to_json_bytes

_FINISH_REASONS = {"end": "stop", "stop": "stop", "length": "length", "deadline": "length"}


@dataclass(frozen=True, slots=True)
class CompletionHeader:
    """The fields that are the same in a whole response and in every chunk of its stream."""

    model: str
    fingerprint: str
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def prefix(self) -> bytes:
        """The JSON up to the list of choices."""
        fields = {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }
        return to_json_bytes(fields)[:-1] + b',"choices":['


def finish_reason(event: Finished) -> str:
    """The protocol's reason."""
    return _FINISH_REASONS[event.reason]


class UsageCounter:
    """Counts tokens over all choices of all prompts. A generated [END] counts."""

    def __init__(self, choices_per_prompt: int) -> None:
        self._per_prompt = choices_per_prompt
        self._prompt = self._cached = self._completion = 0
        self._seen: dict[int, int] = {}  # tokens of each open choice

    def add(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, PromptRead) and event.index % self._per_prompt == 0:
            self._prompt += event.prompt_tokens
            self._cached += event.cached_tokens
        elif isinstance(event, Token):
            self._seen[event.index] = self._seen.get(event.index, 0) + 1
        elif isinstance(event, Finished):
            self._seen.pop(event.index, None)
            self._completion += event.completion_tokens + (event.reason == "end")

    def usage(self) -> dict[str, Any]:
        """The usage so far."""
        completion = self._completion + sum(self._seen.values())
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": completion,
            "total_tokens": self._prompt + completion,
            "prompt_tokens_details": {"cached_tokens": self._cached},
        }


@dataclass(frozen=True, slots=True)
class PlacedToken:
    """A token with log-probabilities and its place in the text of its choice.

    ``follows``: whether another token precedes it; the first token of an echo has no
    log-probability in the protocol.
    """

    token: TokenLogprob
    offset: int
    follows: bool

    @property
    def logprob(self) -> float | None:
        """The log-probability as the protocol has it."""
        return self.token.logprob if self.follows else None

    @property
    def alternatives(self) -> dict[str, float] | None:
        """The likeliest tokens and the token itself, by name."""
        if not self.follows:
            return None
        name, *names = self.token.names
        top: dict[str, float] = {}
        for other, (_, logprob) in zip(names, self.token.top, strict=True):
            top.setdefault(other, logprob)
        top.setdefault(name, self.token.logprob)
        return top


class TokenPlacer:
    """Finds the places of the tokens of one choice, in characters of its text."""

    def __init__(self) -> None:
        self._offset = 0

    def echoed(self, event: Echo) -> list[PlacedToken]:
        """The tokens of the prompt."""
        placed = []
        for index, token in enumerate(event.tokens):
            placed.append(PlacedToken(token, self._offset, follows=index > 0))
            self._offset += len(token.text)
        self._offset = len(event.text)
        return placed

    def generated(self, event: Token) -> list[PlacedToken]:
        """The token of an event; none without log-probabilities."""
        placed = PlacedToken(event.token, self._offset, follows=True) if event.token else None
        self._offset += len(event.text)
        return [] if placed is None else [placed]


_LISTS: dict[str, Callable[[PlacedToken], Any]] = {
    "tokens": lambda placed: placed.token.names[0],
    "token_logprobs": lambda placed: placed.logprob,
    "top_logprobs": lambda placed: placed.alternatives,
    "text_offset": lambda placed: placed.offset,
}


def logprobs_json(placed: Sequence[PlacedToken]) -> Iterator[bytes]:
    """The parallel lists of tokens, in parts."""
    for index, (name, value) in enumerate(_LISTS.items()):
        yield (b"," if index else b"{") + f'"{name}":'.encode()
        yield from array([value(token) for token in placed], to_json_bytes)
    yield b"}"


class ChoiceCollector:
    """Collects the events of one choice."""

    def __init__(self, *, logprobs: bool) -> None:
        self._logprobs = logprobs
        self._texts: list[str] = []
        self._tokens: list[PlacedToken] = []
        self._placer = TokenPlacer()
        self._generated: list[float] = []
        self._reason = ""

    def add(self, event: Event) -> None:
        """Add an event of this choice."""
        if isinstance(event, Echo):
            self._texts.append(event.text)
            self._tokens += self._placer.echoed(event)
        elif isinstance(event, Token):
            self._texts.append(event.text)
            self._tokens += self._placer.generated(event)
            if event.token is not None:
                self._generated.append(event.token.logprob)
        elif isinstance(event, Finished):
            self._texts.append(event.text)
            self._reason = finish_reason(event)

    @property
    def mean_logprob(self) -> float:
        """Of the generated tokens; 0 if there are none."""
        return sum(self._generated) / max(1, len(self._generated))

    def write(self, index: int) -> Iterator[bytes]:
        """The JSON of the choice, in parts."""
        yield to_json_bytes({"index": index, "text": "".join(self._texts)})[:-1] + b',"logprobs":'
        yield from logprobs_json(self._tokens) if self._logprobs else [b"null"]
        yield b"," + to_json_bytes({"finish_reason": self._reason})[1:]


def completion_json(
    events: Iterable[Event], header: CompletionHeader, *, n: int, best_of: int, logprobs: bool
) -> Iterator[bytes]:
    """The body of a CompletionResponse, in parts: of each ``best_of`` choices of a prompt the best
    ``n``.
    """
    usage = UsageCounter(best_of)
    choices: dict[int, ChoiceCollector] = {}
    for event in events:
        if not isinstance(event, PromptRead | Echo | Token | Finished):
            raise TypeError(f"unexpected event of a completion: {event!r}")
        usage.add(event)
        if event.index not in choices:
            choices[event.index] = ChoiceCollector(logprobs=logprobs)
        choices[event.index].add(event)
    ordered = [choice for _, choice in sorted(choices.items())]
    kept = itertools.chain.from_iterable(
        _best(ordered[first : first + best_of], n) for first in range(0, len(ordered), best_of)
    )
    yield header.prefix()
    for index, choice in enumerate(kept):
        yield b"," if index else b""
        yield from choice.write(index)
    yield b"]," + to_json_bytes({"usage": usage.usage()})[1:]


def _best(choices: Sequence[ChoiceCollector], n: int) -> Sequence[ChoiceCollector]:
    if len(choices) == n:
        return choices
    return sorted(choices, key=lambda choice: choice.mean_logprob, reverse=True)[:n]
