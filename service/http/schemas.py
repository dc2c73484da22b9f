"""The schemas of responses and stream events."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FinishReasonField = Literal["end", "stop", "length", "deadline", "drained"]


class _Response(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Alternative(_Response):
    """A likely token at this position."""

    text: str
    logprob: float


class ScoredToken(_Response):
    """A token and its natural log-probability under the model, before any sampling option."""

    text: str
    logprob: float
    top: list[Alternative] | None = Field(default=None, description="the likeliest tokens there")
    end_logprob: float | None = Field(
        default=None, description="/generate with end: that the text ends in place of this token"
    )
    unknown: bool | None = Field(
        default=None,
        description="/score: true for a word outside the vocabulary. Its log-probability is that "
        "of any such word, not of this one",
    )


class Choice(_Response):
    """One continuation. `tokens` are those of which at least a part is shown. If a stop string
    begins within a token, that token is the last, and `text` ends inside it.
    """

    index: int
    text: str
    finish_reason: FinishReasonField = Field(
        description="end: the model ended the text; stop: a stop string; length: max_tokens"
    )
    tokens: list[ScoredToken] | None = Field(
        default=None,
        description="with logprobs: the tokens of the text, with echo after those of the prompt; "
        "`usage` also counts tokens that a stop string cut off",
    )


class Usage(_Response):
    """Numbers of prompt tokens, of prompt tokens that were cached, and of generated tokens."""

    prompt_tokens: int = Field(
        description="of the prompt, counted once for all choices; tokens of a state are not counted"
    )
    cached_tokens: int = Field(
        description="prompt tokens that were not read for this request, because the state after "
        "them was cached by an earlier request with the same key; in a stream, where each choice "
        "has its own usage, also those that the first choice read for the others"
    )
    completion_tokens: int = Field(description="generated, by all choices together")


class GenerateResponse(_Response):
    """Continuations of a prompt."""

    model: str
    choices: list[Choice]
    usage: Usage
    seed: int
    state: str | None = Field(
        default=None, description="with return_state: the state at the end of `text`"
    )


class WordProbability(_Response):
    """A whole word and the probability that it comes next."""

    word: str
    completion: str | None = Field(
        default=None, description="the rest of the word, if the prompt ends in its beginning"
    )
    probability: float


class NextWordResponse(_Response):
    """The likeliest next words."""

    model: str
    words: list[WordProbability]
    covered: float = Field(description="the probability mass of all words that were found")
    entropy_bits: float = Field(description="the entropy of the distribution over these words")
    end: float | None = Field(
        default=None,
        description="the probability that the text ends after the prompt, if asked for",
    )


class TextScore(_Response):
    """One text, token by token. The end of the text is counted only if it was asked for."""

    tokens: list[ScoredToken]
    end_logprob: float | None = Field(
        default=None, description="with end: log-probability that the text ends here"
    )
    logprob: float = Field(description="natural logarithm of the text's probability")
    perplexity: float = Field(description="per token")
    bits_per_byte: float = Field(
        description="of UTF-8: comparable between tokenizers, if there are no unknown tokens"
    )
    unknown_tokens: int = Field(
        description="words outside the vocabulary; each is scored as the unknown token"
    )
    note: str | None = Field(
        default=None, description="with unknown tokens: why the score is too high"
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
    """The contribution of a token to the label: confidence with it minus confidence without it."""

    token: str
    contribution: float


class ClassifyResult(_Response):
    """The label of one text."""

    label: str = Field(
        description="the likeliest label; for a model with an out_of_scope_label in GET /models, "
        "that label if the text belongs to no other one"
    )
    labels: list[str] | None = Field(
        default=None,
        description="of a multi-label model: the labels whose score reaches their threshold in "
        "GET /models, likeliest first; may be empty",
    )
    confidence: float = Field(description="score of the label, calibrated on held-out texts")
    scores: list[LabelScore] = Field(
        description="likeliest first; those of a multi-label model do not sum to 1"
    )
    token_count: int = Field(description="of the text; tokens of a state are not counted")
    unknown_tokens: int = Field(
        description="words of the text outside the vocabulary; each is read as the unknown token"
    )
    truncated: bool = Field(description="the text was longer than the limit and was truncated")
    contributions: list[Contribution] | None = Field(default=None, description="with explain")
    state: str | None = Field(
        default=None, description="with return_state: the document after this text"
    )


class ClassifyResponse(_Response):
    """Labels in the order of the texts."""

    model: str
    results: list[ClassifyResult]


class ModelResponse(_Response):
    """A served model."""

    name: str
    version: str
    kind: Literal["language-model", "classifier"]
    default: bool = Field(description="whether requests that name no model use it")
    tokenizer: Literal["word", "char", "bpe"]
    vocabulary_size: int
    architecture: dict[str, int | str | bool | tuple[int, ...] | None]
    labels: list[str] | None = Field(default=None, description="of a classifier: its labels")
    out_of_scope_label: str | None = Field(
        default=None, description="the label of texts that belong to no other label"
    )
    multi_label: bool | None = Field(
        default=None, description="of a classifier: whether a text has any number of labels"
    )
    thresholds: dict[str, float] | None = Field(
        default=None,
        description="of a multi-label classifier: the score from which a text has each label",
    )
    metrics: dict[str, float] = Field(description="measured in training")
    limits: dict[str, int]


class RefusedModel(_Response):
    """An artifact that is not served. If the model has an earlier version, that one is served."""

    name: str = Field(description="the directory of the artifact")
    reason: str


class ModelsResponse(_Response):
    """All models, by name."""

    models: list[ModelResponse]
    refused: list[RefusedModel] = Field(
        description="artifacts in the folder of models that cannot be served"
    )


class TokenizeResponse(_Response):
    """Token ids."""

    model: str
    count: int
    max_model_len: int = Field(description="most tokens of a prompt")
    tokens: list[int]
    token_strs: list[str] | None = Field(
        default=None,
        description='texts; a part of a character as "bytes:\\xe2", the end as "[END]"',
    )


class DetokenizeResponse(_Response):
    """A text."""

    model: str
    prompt: str


class TokenizerInfoResponse(_Response):
    """A tokenizer, with the field names of Hugging Face. [END] opens and closes every text."""

    model: str
    tokenizer_class: Literal["PreTrainedTokenizerFast"] = "PreTrainedTokenizerFast"
    kind: Literal["word", "char", "bpe"]
    vocab_size: int
    model_max_length: int = Field(description="most tokens of a prompt")
    bos_token: str
    bos_token_id: int
    eos_token: str
    eos_token_id: int
    unk_token: str | None
    unk_token_id: int | None
    pad_token: str | None = None
    chat_template: str | None = None


class EmbedResult(_Response):
    """The vector of one text."""

    embedding: list[float]
    token_count: int
    truncated: bool = Field(description="the text was longer than the limit and was truncated")


class EmbedResponse(_Response):
    """Vectors in the order of the texts."""

    model: str
    dimensions: int
    results: list[EmbedResult]


class HealthResponse(_Response):
    """The service is live, or ready."""

    status: Literal["live", "ready"]


class IndexResponse(_Response):
    """The entry point: models, routes, and the documentation."""

    name: str
    version: str
    documentation: str
    models: list[str]
    routes: list[str]


class ErrorDetail(_Response):
    """An error."""

    type: str
    message: str
    param: str | None = Field(description="the field that caused it")


class ErrorResponse(_Response):
    """The shape of every error."""

    error: ErrorDetail
