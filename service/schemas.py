"""What goes over the wire, field by field: requests, responses and events, all bounded.

Strict: no "5" for 5, no true for 1, no NaN, no unknown fields. The bounds here hold anywhere; those
that an operator may set lower are checked in :mod:`service.limits`. Knows no engine.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

LARGEST_SEED = 2**63 - 1
LARGEST_COUNT = 10_000_000

FinishReason = Literal["end", "stop", "length", "deadline"]


def _readable(text: str) -> str:
    if "\0" in text:
        raise ValueError("the character U+0000 is not text")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} is half of a surrogate pair") from error
    return text


def _with_words(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is empty")
    return text


Text = Annotated[str, AfterValidator(_readable)]
FullText = Annotated[Text, AfterValidator(_with_words)]
StopString = Annotated[Text, Field(min_length=1, max_length=100)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    model: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="name of the model, as in GET /models; the default one if it is left out",
    )
    deadline_ms: int | None = Field(
        default=None,
        ge=1,
        le=LARGEST_COUNT,
        description="milliseconds after which to stop; /generate then answers with what it has",
    )


class GenerateRequest(_Request):
    """Continue a text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"prompt": "The keys to the", "max_tokens": 40, "temperature": 0.8, "seed": 1}
            ]
        }
    )

    prompt: Text = Field(
        default="", description="the text to continue; empty to begin at the beginning"
    )
    max_tokens: int = Field(
        default=100, ge=0, le=LARGEST_COUNT, description="most tokens to draw; 0 only with echo"
    )
    temperature: float = Field(
        default=1.0, ge=0, le=100, description="0 takes the likeliest token each time"
    )
    top_k: int = Field(
        default=0, ge=0, le=LARGEST_COUNT, description="draw from the k likeliest tokens; 0 is off"
    )
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="draw from the fewest tokens whose mass reaches this"
    )
    min_p: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="draw from tokens of at least this fraction of the likeliest one's probability",
    )
    repetition_penalty: float = Field(
        default=1.0, ge=0.1, le=10, description="over 1 makes tokens seen before less likely"
    )
    stop: list[StopString] = Field(
        default=[], max_length=16, description="end before any of these would appear"
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=LARGEST_SEED,
        description="same request and seed, same text; drawn and told if it is left out",
    )
    n: int = Field(default=1, ge=1, le=128, description="how many continuations")
    logprobs: int | None = Field(
        default=None,
        ge=0,
        le=20,
        description="report each token's log-probability and so many alternatives",
    )
    echo: bool = Field(default=False, description="put the prompt before the continuation")
    return_state: bool = Field(
        default=False,
        description="with the answer, give the state where the shown text stops, as `state`: send "
        "it to go on there; for n of 1",
    )
    state: str | None = Field(
        default=None,
        min_length=1,
        description="from an earlier answer: go on where its text stopped. Without a prompt, text "
        "and continuation join to the text that one request gives; where a stop string ended it, "
        "the continuation begins with the text that was cut off, stop string included, which is "
        "not searched for stop strings and not counted in max_tokens. A prompt is read directly "
        "after the shown text, and what was cut off is dropped. The state's seed is used unless "
        "another one is named",
    )
    stream: bool = Field(
        default=False, description="answer with server-sent events, one for each token"
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> GenerateRequest:
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens may be 0 only with echo")
        return self


class NextWordRequest(_Request):
    """What may come next, as whole words."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "The keys to the", "top": 5}]}
    )

    prompt: Text = Field(description="the text so far; empty for the first word of a text")
    top: int = Field(default=10, ge=1, le=100, description="how many words to list")


class ScoreRequest(_Request):
    """How likely texts are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"texts": ["The keys are on the table.", "The keys is on the table."]}]
        }
    )

    texts: list[Annotated[Text, Field(min_length=1)]] = Field(
        min_length=1, max_length=1024, description="each is scored from its beginning"
    )


class ClassifyRequest(_Request):
    """Which label a text has."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "A warm and funny film.", "explain": True}]}
    )

    text: FullText | None = Field(default=None, description="one text; or else texts")
    texts: list[FullText] | None = Field(
        default=None, min_length=1, max_length=1024, description="several texts at once"
    )
    top: int | None = Field(
        default=None, ge=1, le=10_000, description="list so many labels (all of them)"
    )
    explain: bool = Field(
        default=False,
        description="tell what each token contributes: the label's confidence minus its "
        "confidence when that token is left out",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> ClassifyRequest:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give exactly one of text and texts")
        return self

    @property
    def all_texts(self) -> tuple[str, ...]:
        """The texts, whichever way they were given."""
        return (self.text,) if self.text is not None else tuple(self.texts or ())


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
    """One continuation."""

    index: int
    text: str
    finish_reason: FinishReason = Field(
        description="end: the model ended the text; stop: a stop string; length: max_tokens"
    )
    tokens: list[ScoredToken] | None = Field(default=None, description="with logprobs")


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
    """`data:` of one token. `text` may be empty while it could still become a stop string."""

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
    finish_reason: FinishReason
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
