"""The schemas of requests, with bounds for every field.

They are strict: no "5" for 5, no true for 1, no NaN, no unknown fields. These bounds are fixed.
Bounds that the operator sets are marked and applied in :mod:`service.http.request_limits`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from service.http.openai.logit_bias import LogitBias

LARGEST_CLIENT_SEED = 2**63 - 1  # fits a signed 64-bit integer
LARGEST_COUNT = 10_000_000


def _valid_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("the text has the character U+0000")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"character {error.start} is half of a surrogate pair") from error
    return text


def _not_blank(text: str) -> str:
    if not _INK.search(text):
        raise ValueError("the text is empty")
    return text


_WITHOUT_NUL = r"^[^\u0000]*$"
# White space and control characters, spelled out because languages differ in \s.
_BLANK = r"\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_INK = re.compile(f"[^{_BLANK}]")
_NOT_BLANK = rf"^[^\u0000]*[^{_BLANK}][^\u0000]*$"

_NO_NUL: dict[str, JsonValue] = {"pattern": _WITHOUT_NUL}
_VALID = AfterValidator(_valid_text)

Text = Annotated[str, _VALID, Field(json_schema_extra=_NO_NUL)]
FullText = Annotated[
    str, _VALID, AfterValidator(_not_blank), Field(json_schema_extra={"pattern": _NOT_BLANK})
]
_NonEmpty = Annotated[str, Field(min_length=1, json_schema_extra=_NO_NUL), _VALID]
# Lengths come before the validator: after it, messages count items in place of characters.
StopString = Annotated[str, Field(min_length=1, max_length=100, json_schema_extra=_NO_NUL), _VALID]
_ModelName = Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=_NO_NUL), _VALID]


class AtMost(NamedTuple):
    """Marks a field whose upper bound the operator sets; see :mod:`service.http.request_limits`."""

    limit: str


def list_of_one(value: object) -> object:
    """A string as a list of one."""
    return [value] if isinstance(value, str) else value


_StopList = Annotated[list[StopString], Field(max_length=16)]
StopStrings = Annotated[
    _StopList, BeforeValidator(list_of_one, json_schema_input_type=_StopList | StopString)
]
"""A list, or one string."""


Pattern = _NonEmpty
Choices = Annotated[list[_NonEmpty], Field(min_length=1, max_length=1024)]


class RequestFields(BaseModel):
    """The fields that all requests share. null means that a field is not given."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    model: _ModelName | None = Field(
        default=None,
        description="name of the model, as in GET /models; the default model if it is left out",
    )
    deadline_ms: Annotated[int, AtMost("deadline_ms")] | None = Field(
        default=None,
        ge=1,
        le=LARGEST_COUNT,
        description="milliseconds after which to stop; /generate then returns the text so far",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        """Remove null from fields with a default."""
        if not isinstance(fields, dict):
            return fields
        return {
            name: value
            for name, value in fields.items()
            if value is not None or not cls._is_optional(name)
        }

    @classmethod
    def _is_optional(cls, name: str) -> bool:
        field = cls.model_fields.get(name)
        return field is not None and not field.is_required()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Declare optional fields as nullable in the schema."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name, field in schema["properties"].items():
            if cls._is_optional(name) and {"type": "null"} not in field.get("anyOf", []):
                described = {key: field.pop(key) for key in _ANNOTATIONS if key in field}
                kinds = field.pop("anyOf", None) or [dict(field)]
                field.clear()
                field.update({"anyOf": [*kinds, {"type": "null"}], **described})
        return schema


_ANNOTATIONS = ("title", "description", "default")


class GenerateRequest(RequestFields):
    """Continue a text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"prompt": "The laws of the", "max_tokens": 40, "temperature": 0.8, "seed": 1}
            ],
            "if": {"properties": {"max_tokens": {"const": 0}}, "required": ["max_tokens"]},
            "then": {"properties": {"echo": {"const": True}}, "required": ["echo"]},
        }
    )

    prompt: Text = Field(default="", description="the text to continue; empty to start a new text")
    max_tokens: Annotated[int, AtMost("max_tokens")] = Field(
        default=100, ge=0, le=LARGEST_COUNT, description="most tokens to generate; 0 only with echo"
    )
    temperature: float = Field(
        default=1.0, ge=0, le=100, description="0 always selects the likeliest token"
    )
    top_k: int = Field(
        default=0,
        ge=0,
        le=LARGEST_COUNT,
        description="sample from the k likeliest tokens; 0 is off",
    )
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="sample from the fewest tokens whose mass reaches this"
    )
    min_p: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="sample from tokens of at least this fraction of the largest probability",
    )
    repetition_penalty: float = Field(
        default=1.0, ge=0.1, le=10, description="above 1 makes tokens seen before less likely"
    )
    presence_penalty: float = Field(
        default=0.0,
        ge=-2,
        le=2,
        description="subtracted from the logit of each token that was generated before",
    )
    frequency_penalty: float = Field(
        default=0.0,
        ge=-2,
        le=2,
        description="subtracted from the logit of a token for each time it was generated before",
    )
    logit_bias: LogitBias = Field(
        default=(),
        description="numbers from -100 to 100 to add to the logits of tokens, by id; -100 bans "
        "a token in practice. POST /tokenize returns ids",
    )
    stop: StopStrings = Field(
        default=[], description="strings that end the text and are not shown; a list or one string"
    )
    regex: Pattern | None = Field(
        default=None,
        description="a regular expression that the whole text matches, in the syntax of Rust's "
        "regex without look-around and word boundaries; the text ends early only with max_tokens, "
        "a stop string or a deadline. The first word after a prompt begins with a space",
    )
    choices: Choices | None = Field(
        default=None,
        description="the text is exactly one of these; an alternative to regex",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=LARGEST_CLIENT_SEED,
        description="the same request and seed give the same text; without one, a random seed is "
        "used and returned",
    )
    n: Annotated[int, AtMost("choices")] = Field(
        default=1, ge=1, le=128, description="number of continuations"
    )
    logprobs: int | None = Field(
        default=None,
        ge=0,
        le=20,
        description="report each token's log-probability and this many alternatives; `limits` in "
        "GET /models has the largest number of log-probabilities in an answer",
    )
    echo: bool = Field(default=False, description="put the prompt before the continuation")
    end: bool = Field(
        default=False,
        description="with logprobs: report for each generated token the log-probability that the "
        "text ends there instead",
    )
    return_state: bool = Field(
        default=False,
        description="return the state at the end of the shown text as `state`, to continue there "
        "later; only for n of 1",
    )
    state: Annotated[str, AtMost("state_characters")] | None = Field(
        default=None,
        min_length=1,
        description="from an earlier response: continue at the end of its text. Without a prompt, "
        "text and continuation join to the text of a single request. If a stop string ended the "
        "text, the continuation begins with the text that was cut off, including the stop string; "
        "it is not searched for stop strings and not counted in max_tokens. A prompt is read "
        "directly after the shown text, and the text that was cut off is dropped. The state's seed "
        "is used unless the request has one",
    )
    stream: bool = Field(
        default=False, description="respond with server-sent events, one for each token"
    )

    @model_validator(mode="after")
    def _asks_for_something(self) -> GenerateRequest:
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens may be 0 only with echo")
        if self.end and self.logprobs is None:
            raise ValueError("end is reported with log-probabilities: set logprobs, 0 is enough")
        if self.regex is not None and self.choices is not None:
            raise ValueError("give regex or choices, not both")
        return self


class NextWordRequest(RequestFields):
    """The next whole word."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "The laws of the", "top": 5}]}
    )

    prompt: Text = Field(
        description="the text so far; empty for the first word of a text. A word at its end is "
        "completed, except by a word model that has this word in its vocabulary"
    )
    top: int = Field(default=10, ge=1, le=100, description="number of words to return")
    end: bool = Field(default=False, description="also return the probability of the end")


class ScoreRequest(RequestFields):
    """The likelihood of texts."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"texts": ["The laws are good.", "The laws is good."]}]}
    )

    texts: Annotated[list[_NonEmpty], AtMost("texts")] = Field(
        min_length=1, max_length=1024, description="each text is scored from its beginning"
    )
    end: bool = Field(
        default=False,
        description="also score the end of each text, so that logprob is that of the whole text "
        "and not of all texts that begin with it",
    )


_ONE_OR_SEVERAL_TEXTS: list[JsonValue] = [
    {"properties": {"text": {"type": "string"}}, "required": ["text"]},
    {"properties": {"texts": {"type": "array"}}, "required": ["texts"]},
]


class ClassifyRequest(RequestFields):
    """The label of a text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "A warm and funny film.", "explain": True}],
            "oneOf": _ONE_OR_SEVERAL_TEXTS,
        }
    )

    text: FullText | None = Field(default=None, description="one text; an alternative to texts")
    texts: Annotated[list[FullText], AtMost("texts")] | None = Field(
        default=None, min_length=1, max_length=1024, description="several texts"
    )
    top: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="number of labels to return; all of them if it is left out",
    )
    explain: bool = Field(
        default=False,
        description="return the contribution of each token: the label's confidence minus its "
        "confidence without that token",
    )
    return_state: bool = Field(
        default=False,
        description="return the document after this text as `state`, to continue it later; for "
        "one text, and for models that read in one direction without n-grams",
    )
    state: Annotated[str, AtMost("state_characters")] | None = Field(
        default=None,
        min_length=1,
        description="from an earlier response: `text` continues that document. "
        "The result is that of the whole document; only the tokens of `text` are read",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> ClassifyRequest:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give exactly one of text and texts")
        return self

    @property
    def all_texts(self) -> tuple[str, ...]:
        """The texts, from either field."""
        return (self.text,) if self.text is not None else tuple(self.texts or ())


class TokenizeRequest(RequestFields):
    """The token ids of a text."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "The laws of the"}]})

    prompt: Text = Field(description='the text; exactly "[END]" is the token [END]')
    add_special_tokens: bool = Field(
        default=True,
        description="put [END] first, so that the ids are read as the text is",
    )
    return_token_strs: bool = Field(default=False, description="also return the tokens' texts")


class DetokenizeRequest(RequestFields):
    """The text of token ids."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tokens": [22, 7, 2]}]})

    tokens: list[Annotated[int, Field(ge=0)]] = Field(description="token ids; [END] has no text")


class EmbedRequest(RequestFields):
    """A vector for each text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"texts": ["the laws of the country", "the war was over"]}],
            "oneOf": _ONE_OR_SEVERAL_TEXTS,
        }
    )

    text: FullText | None = Field(default=None, description="one text; an alternative to texts")
    texts: Annotated[list[FullText], AtMost("texts")] | None = Field(
        default=None, min_length=1, max_length=1024, description="several texts"
    )
    normalize: bool = Field(
        default=True, description="scale each vector to length 1, so that products are cosines"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> EmbedRequest:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give exactly one of text and texts")
        return self

    @property
    def all_texts(self) -> tuple[str, ...]:
        """The texts, from either field."""
        return (self.text,) if self.text is not None else tuple(self.texts or ())
