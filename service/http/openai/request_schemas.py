"""The requests of POST /v1/completions and /v1/embeddings.

Fields of the protocol, and the sampling options by which vLLM extends it. A field that is not
supported is accepted with a value that changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from service.http.openai.field_types import TextsOrIds, neutral
from service.http.openai.logit_bias import LogitBias
from service.http.request_schemas import AtMost, Choices, Pattern, RequestFields, StopStrings

_SMALLEST_SEED, _LARGEST_SEED = -(2**63), 2**63 - 1
_LARGEST_COUNT = 10_000_000
_MOST_DIMENSIONS = 1_000_000


class Constrained(NamedTuple):
    """A constraint with the name of its field."""

    field: str
    regex: str | None = None
    choices: list[str] | None = None


class StreamOptionsRequest(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    include_usage: bool = Field(default=False, description="a last chunk with the usage")
    continuous_usage_stats: bool = Field(
        default=False, description="the usage so far in every chunk"
    )
    include_obfuscation: bool | None = Field(default=None, description="ignored")


class StructuredOutputs(BaseModel):
    """What the text must be, as vLLM names it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    regex: Pattern | None = Field(default=None, description="the whole text matches it")
    choice: Choices | None = Field(default=None, description="the text is one of these")
    json_: Annotated[Any, neutral()] = Field(default=None, alias="json")
    json_object: Annotated[Any, neutral(False)] = None
    grammar: Annotated[Any, neutral()] = None
    structural_tag: Annotated[Any, neutral()] = None
    whitespace_pattern: Annotated[Any, neutral()] = None
    disable_fallback: Any = Field(default=None, description="ignored")
    disable_any_whitespace: Any = Field(default=None, description="ignored")
    disable_additional_properties: Any = Field(default=None, description="ignored")


class CompletionRequest(RequestFields):
    """Continue one or several prompts."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"prompt": "The laws of the", "max_tokens": 20, "seed": 1}]}
    )

    prompt: TextsOrIds = Field(
        default=("",),
        description="a text, texts, token ids, or lists of them. A text is read after [END], as "
        "every text in training; token ids are read as they are",
    )
    max_tokens: Annotated[int, AtMost("max_tokens")] = Field(
        default=16, ge=0, le=_LARGEST_COUNT, description="most tokens to generate; 0 only with echo"
    )
    temperature: float = Field(default=1.0, ge=0, le=100, description="0 is greedy")
    top_p: float = Field(default=1.0, ge=0, le=1)
    n: Annotated[int, AtMost("choices")] = Field(
        default=1, ge=1, le=128, description="choices for each prompt"
    )
    best_of: Annotated[int, AtMost("choices")] | None = Field(
        default=None,
        ge=1,
        le=128,
        description="generate this many choices and return the n with the highest mean "
        "log-probability of a token; not with stream",
    )
    stream: bool = False
    stream_options: StreamOptionsRequest | None = None
    logprobs: int | None = Field(
        default=None, ge=0, le=20, description="number of likeliest tokens to report"
    )
    echo: bool = Field(default=False, description="put the prompt before the text")
    stop: StopStrings = Field(default=[])
    seed: int | None = Field(default=None, ge=_SMALLEST_SEED, le=_LARGEST_SEED)
    presence_penalty: float = Field(
        default=0.0, ge=-2, le=2, description="for each token that was generated before"
    )
    frequency_penalty: float = Field(
        default=0.0, ge=-2, le=2, description="for each time that a token was generated before"
    )
    logit_bias: LogitBias = Field(
        default=(), description="numbers from -100 to 100 for tokens, by id, added to their logits"
    )
    top_k: int = Field(default=0, ge=-1, le=_LARGEST_COUNT, description="0 and -1 are off")
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: float = Field(default=1.0, ge=0.1, le=10)
    structured_outputs: StructuredOutputs | None = Field(
        default=None, description="a regex or a choice that the text of each prompt must be"
    )
    guided_regex: Pattern | None = Field(
        default=None, description="the same as structured_outputs.regex"
    )
    guided_choice: Choices | None = Field(
        default=None, description="the same as structured_outputs.choice"
    )
    guided_decoding_backend: Any = Field(default=None, description="ignored")
    user: Any = Field(default=None, description="ignored")

    guided_json: Annotated[Any, neutral()] = None
    guided_grammar: Annotated[Any, neutral()] = None
    guided_whitespace_pattern: Annotated[Any, neutral()] = None
    suffix: Annotated[Any, neutral("")] = None
    use_beam_search: Annotated[Any, neutral(False)] = None
    length_penalty: Annotated[Any, neutral(1)] = None
    early_stopping: Annotated[Any, neutral(False)] = None
    ignore_eos: Annotated[Any, neutral(False)] = None
    min_tokens: Annotated[Any, neutral(0)] = None
    stop_token_ids: Annotated[Any, neutral([])] = None
    include_stop_str_in_output: Annotated[Any, neutral(False)] = None
    skip_special_tokens: Annotated[Any, neutral(True, False)] = None
    spaces_between_special_tokens: Annotated[Any, neutral(True, False)] = None
    add_special_tokens: Annotated[Any, neutral(True)] = None
    truncate_prompt_tokens: Annotated[Any, neutral()] = None
    prompt_logprobs: Annotated[Any, neutral()] = None
    allowed_token_ids: Annotated[Any, neutral()] = None
    bad_words: Annotated[Any, neutral([])] = None
    logits_processors: Annotated[Any, neutral([])] = None
    response_format: Annotated[Any, neutral({"type": "text"})] = None
    return_tokens_as_token_ids: Annotated[Any, neutral(False)] = None
    return_token_ids: Annotated[Any, neutral(False)] = None
    priority: Annotated[Any, neutral(0)] = None

    @property
    def constraints(self) -> Sequence[Constrained]:
        """The constraints of all fields; more than one is an error."""
        nested = self.structured_outputs or StructuredOutputs()
        named = (
            Constrained("structured_outputs.regex", nested.regex),
            Constrained("structured_outputs.choice", choices=nested.choice),
            Constrained("guided_regex", self.guided_regex),
            Constrained("guided_choice", choices=self.guided_choice),
        )
        return [one for one in named if one.regex is not None or one.choices is not None]


class EmbeddingsRequest(RequestFields):
    """A vector for each input."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"input": ["the laws of the country", "the war was over"]}]}
    )

    input: TextsOrIds = Field(description="a text, texts, token ids, or lists of them")
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="base64: of float32 numbers, least significant byte first"
    )
    dimensions: int | None = Field(
        default=None, ge=1, le=_MOST_DIMENSIONS, description="only the model's own number"
    )
    normalize: bool = Field(default=True, description="scale each vector to length 1")
    user: Any = Field(default=None, description="ignored")
