"""What the service answers, field by field: responses and events. Knows no engine."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FinishReasonField = Literal["end", "stop", "length", "deadline"]


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Alternative(_Response):
    """A token the model could have drawn."""

    text: str
    logprob: float


class ScoredToken(_Response):
    """A token and its natural log-probability under the model, before any sampling option."""

    text: str
    logprob: float
    top: list[Alternative] | None = Field(default=None, description="the likeliest tokens there")


class Choice(_Response):
    """One continuation. `tokens` are those of which at least a part is shown: where a stop string
    begins within a token, that token is the last, and `text` ends inside it.
    """

    index: int
    text: str
    finish_reason: FinishReasonField = Field(
        description="end: the model ended the text; stop: a stop string; length: max_tokens"
    )
    tokens: list[ScoredToken] | None = Field(
        default=None,
        description="with logprobs: with echo those of the prompt, then those of the text; "
        "`usage` also counts tokens that a stop string has cut off",
    )


class Usage(_Response):
    """Tokens of the prompt, those of them that were known already, and tokens drawn."""

    prompt_tokens: int = Field(
        description="of the prompt; counted once for all choices, a state that was sent not at all"
    )
    cached_tokens: int = Field(
        description="of the prompt's tokens, those not read for this request because the state "
        "after them was kept from an earlier one with the same key; in a stream, where each choice "
        "tells its own, also those that the first choice has read for the others"
    )
    completion_tokens: int = Field(description="drawn, by all choices together")


class GenerateResponse(_Response):
    """Continuations of a prompt."""

    model: str
    choices: list[Choice]
    usage: Usage
    seed: int
    state: str | None = Field(default=None, description="with return_state: where `text` stopped")


class TokenEvent(_Response):
    """`data:` of one token. `text` is what may now be shown: empty while it could still become a
    stop string, more when it did not. With logprobs each event is one token's, and comes once the
    text of the token may be shown; `text` is less than `token` only where a stop string cuts it.
    """

    index: int
    text: str
    token: str | None = Field(default=None, description="with logprobs: the token as drawn")
    logprob: float | None = None
    top: list[Alternative] | None = None


class EchoEvent(_Response):
    """With echo, the first `data:` of each choice: the prompt."""

    index: int
    text: str
    tokens: list[ScoredToken] | None = None


class FinishEvent(_Response):
    """The last `data:` of each choice; `usage` is of this choice."""

    index: int
    finish_reason: FinishReasonField
    usage: Usage
    seed: int
    state: str | None = Field(default=None, description="with return_state: where `text` stopped")


class WordProbability(_Response):
    """A whole word and the probability that it comes next."""

    word: str
    probability: float


class NextWordResponse(_Response):
    """The likeliest next words."""

    model: str
    words: list[WordProbability]
    covered: float = Field(description="the probability mass of all words that were found")
    entropy_bits: float = Field(description="how undecided the model is among them")


class TextScore(_Response):
    """One text, token by token. Its end is not counted."""

    tokens: list[ScoredToken]
    logprob: float = Field(description="natural logarithm of the text's probability")
    perplexity: float = Field(description="per token")
    bits_per_byte: float = Field(
        description="of UTF-8: comparable between tokenizers, if there are no unknown tokens"
    )
    unknown_tokens: int = Field(
        description="words outside the vocabulary: each is scored as any unknown word"
    )


class ScoreResponse(_Response):
    """Scores in the order of the texts."""

    model: str
    results: list[TextScore]


class LabelScore(_Response):
    """A label and its calibrated probability."""

    label: str
    score: float


class Contribution(_Response):
    """What a token does for the label: confidence with it minus confidence without it."""

    token: str
    contribution: float


class ClassifyResult(_Response):
    """The label of one text."""

    label: str = Field(
        description="the likeliest; out_of_scope_label of GET /models, where there is one, if the "
        "text belongs to none of the others"
    )
    confidence: float = Field(description="calibrated on held-out texts")
    scores: list[LabelScore] = Field(description="likeliest first")
    token_count: int
    truncated: bool = Field(description="the text was longer than the model reads")
    contributions: list[Contribution] | None = Field(default=None, description="with explain")


class ClassifyResponse(_Response):
    """Labels in the order of the texts."""

    model: str
    results: list[ClassifyResult]


class ModelResponse(_Response):
    """A model that is being served."""

    name: str
    version: str
    kind: Literal["language-model", "classifier"]
    default: bool = Field(description="whether it answers when no model is named")
    tokenizer: Literal["word", "char", "bpe"]
    vocabulary_size: int
    architecture: dict[str, int | str | bool | tuple[int, ...] | None]
    labels: list[str] | None = Field(default=None, description="of a classifier: its answers")
    out_of_scope_label: str | None = Field(
        default=None, description="that of them which says that a text belongs to none of the rest"
    )
    metrics: dict[str, float] = Field(description="measured when it was trained")
    limits: dict[str, int]


class ModelsResponse(_Response):
    """All models, by name."""

    models: list[ModelResponse]


class HealthResponse(_Response):
    """The service is well."""

    status: Literal["live", "ready"]


class IndexResponse(_Response):
    """Where to go from here."""

    name: str
    version: str
    documentation: str
    models: list[str]
    routes: list[str]


class ErrorDetail(_Response):
    """What went wrong."""

    type: str
    message: str
    param: str | None = Field(description="the field it is about")


class ErrorResponse(_Response):
    """Every error has this shape."""

    error: ErrorDetail
