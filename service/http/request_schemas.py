"""What clients may ask, field by field, all bounded.

Strict: no "5" for 5, no true for 1, no NaN, no unknown fields. The bounds here hold anywhere; what
an operator may set lower is marked and applied in :mod:`service.http.request_limits`. Knows no
engine.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

LARGEST_CLIENT_SEED = 2**63 - 1
LARGEST_COUNT = 10_000_000


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
_NonEmpty = Annotated[str, Field(min_length=1), AfterValidator(_readable)]
StopString = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_readable)]


class AtMost(NamedTuple):
    """Marks a field whose upper bound the operator sets; :mod:`service.http.request_limits` applies
    it.
    """

    limit: str


def _list_of_one(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Stops = Annotated[list[StopString], Field(max_length=16)]


class RequestFields(BaseModel):
    """What all requests have in common. null stands for a field that was left out."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    model: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_readable)] | None = (
        Field(
            default=None,
            description="name of the model, as in GET /models; the default one if it is left out",
        )
    )
    deadline_ms: Annotated[int, AtMost("deadline_ms")] | None = Field(
        default=None,
        ge=1,
        le=LARGEST_COUNT,
        description="milliseconds after which to stop; /generate then answers with what it has",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, fields: Any) -> Any:
        """Drops null where the field has a default."""
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
        """Tells that optional fields may be null."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name, field in schema["properties"].items():
            if cls._is_optional(name) and {"type": "null"} not in field.get("anyOf", []):
                described = {key: field.pop(key) for key in _DESCRIBES if key in field}
                kinds = field.pop("anyOf", None) or [dict(field)]
                field.clear()
                field.update({"anyOf": [*kinds, {"type": "null"}], **described})
        return schema


_DESCRIBES = ("title", "description", "default")


class GenerateRequest(RequestFields):
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
    max_tokens: Annotated[int, AtMost("max_tokens")] = Field(
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
    stop: Annotated[
        _Stops, BeforeValidator(_list_of_one, json_schema_input_type=_Stops | StopString)
    ] = Field(default=[], description="end before any of these would appear; a list or one string")
    seed: int | None = Field(
        default=None,
        ge=0,
        le=LARGEST_CLIENT_SEED,
        description="same request and seed, same text; drawn and told if it is left out",
    )
    n: Annotated[int, AtMost("choices")] = Field(
        default=1, ge=1, le=128, description="how many continuations"
    )
    logprobs: int | None = Field(
        default=None,
        ge=0,
        le=20,
        description="report each token's log-probability and so many alternatives; an answer holds "
        "a number of log-probabilities at most, see `limits` in GET /models",
    )
    echo: bool = Field(default=False, description="put the prompt before the continuation")
    return_state: bool = Field(
        default=False,
        description="with the answer, give the state where the shown text stops, as `state`: send "
        "it to go on there; for n of 1",
    )
    state: Annotated[str, AtMost("state_characters")] | None = Field(
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


class NextWordRequest(RequestFields):
    """What may come next, as whole words."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "The keys to the", "top": 5}]}
    )

    prompt: Text = Field(description="the text so far; empty for the first word of a text")
    top: int = Field(default=10, ge=1, le=100, description="how many words to list")


class ScoreRequest(RequestFields):
    """How likely texts are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"texts": ["The keys are on the table.", "The keys is on the table."]}]
        }
    )

    texts: Annotated[list[_NonEmpty], AtMost("texts")] = Field(
        min_length=1, max_length=1024, description="each is scored from its beginning"
    )


class ClassifyRequest(RequestFields):
    """Which label a text has."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "A warm and funny film.", "explain": True}]}
    )

    text: FullText | None = Field(default=None, description="one text; or else texts")
    texts: Annotated[list[FullText], AtMost("texts")] | None = Field(
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
