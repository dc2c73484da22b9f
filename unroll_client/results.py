"""The answers of the service as data classes. Log-probabilities are natural logarithms.

Fields that a newer service adds are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

FinishReason = Literal["end", "stop", "length", "deadline", "drained"]


@dataclass(frozen=True, slots=True)
class LikelyToken:
    """A likely token at a position."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class ReadToken:
    """A token with its log-probability.

    ``top``: the likeliest tokens there. ``end_logprob``: the text ends in its place. ``unknown``:
    a word outside the vocabulary.
    """

    text: str
    logprob: float
    top: list[LikelyToken] = field(default_factory=list)
    end_logprob: float | None = None
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Numbers of tokens: of the prompt, of these from the cache, and generated ones."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class GeneratedChoice:
    """One choice. ``tokens``: with logprobs, those of the text."""

    index: int
    text: str
    finish_reason: FinishReason
    tokens: list[ReadToken] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Generation:
    """The answer of generate. ``state``: with return_state, the state at the end of the text.

    ``model`` is empty for a stream, whose events do not name it.
    """

    choices: list[GeneratedChoice]
    usage: TokenUsage
    seed: int
    model: str = ""
    state: str | None = None

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].text


@dataclass(frozen=True, slots=True)
class StreamedText:
    """A part of a stream. With logprobs, ``token`` is the token and ``text`` its shown part.

    ``tokens``: with echo and logprobs, the tokens of the prompt, which is the first part.
    """

    index: int
    text: str
    token: str | None = None
    logprob: float | None = None
    top: list[LikelyToken] = field(default_factory=list)
    end_logprob: float | None = None
    tokens: list[ReadToken] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WordCandidate:
    """A whole word and the probability that it comes next.

    ``completion``: its missing part, if the prompt ends in the beginning of the word.
    """

    word: str
    probability: float
    completion: str | None = None


@dataclass(frozen=True, slots=True)
class NextWords:
    """The likeliest next words, best first.

    ``covered``: the probability of all words that were found. ``end``: that the text ends.
    """

    model: str
    words: list[WordCandidate]
    covered: float
    entropy_bits: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class ScoredText:
    """The likelihood of a text, token by token. ``note``: why the score is too high."""

    tokens: list[ReadToken]
    logprob: float
    perplexity: float
    bits_per_byte: float
    unknown_tokens: int
    end_logprob: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class RankedLabel:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class TokenContribution:
    """The confidence with a token minus the confidence without it."""

    token: str
    contribution: float


@dataclass(frozen=True, slots=True)
class ClassifiedText:
    """The label of a text. ``state``: with return_state, the document after this text.

    ``labels``: of a multi-label model, the labels that the text has; None for another model.
    """

    label: str
    confidence: float
    scores: list[RankedLabel]
    token_count: int
    unknown_tokens: int
    truncated: bool
    contributions: list[TokenContribution] = field(default_factory=list)
    state: str | None = None
    labels: list[str] | None = None


@dataclass(frozen=True, slots=True)
class InspectedText:
    """A text as the model reads it; ``fields`` has the whole answer as JSON values."""

    model: str
    tokens: list[dict[str, Any]]
    unknown_tokens: int
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """The vector of a text, and its number of tokens."""

    embedding: list[float]
    token_count: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class TokenIds:
    """The token ids of a text; ``token_strs``: their texts, if asked for."""

    model: str
    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of the service."""

    name: str
    version: str
    kind: Literal["language-model", "classifier"]
    default: bool
    tokenizer: str
    vocabulary_size: int
    labels: list[str] = field(default_factory=list)
    out_of_scope_label: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    multi_label: bool | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
