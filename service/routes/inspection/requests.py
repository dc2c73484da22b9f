"""Requests of the inspection routes. All fields are bounded; unknown ones are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.http.request_schemas import (
    LARGEST_CLIENT_SEED,
    LARGEST_COUNT,
    AtMost,
    FullText,
    RequestFields,
    Text,
)

MarkingName = Literal[
    "quotes",
    "brackets",
    "capitals",
    "digits",
    "spaces",
    "line_position",
    "word_position",
    "sentence_position",
    "speaker",
]
HeldSignal = Literal["hidden", "cell", "input", "forget", "output", "reset", "update", "candidate"]
MOST_NUMBERS = 9_000  # in a list: a body may have a thousand values more
_Index = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
_Kept = Annotated[str, AtMost("state_characters")]
_Numbers = Annotated[list[float], Field(min_length=1, max_length=MOST_NUMBERS)]
_STATE = "state of an earlier answer to go on from; the beginning of a text if it is left out"


class ClampedUnit(BaseModel):
    """A unit, or a gate of a unit, that is held at a value in every step. Layers and units count
    from 0.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    layer: _Index
    unit: _Index | None = Field(default=None, description="all units of the layer if left out")
    value: float = Field(ge=-1000, le=1000, description="of a gate 0 (shut) to 1 (open)")
    signal: HeldSignal = "hidden"


_Clamps = Annotated[list[ClampedUnit], Field(max_length=64)]


class InspectRequest(RequestFields):
    """Look inside a model while it reads a text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "The laws of the country", "layers": [1], "units": [3, 7]}]
        }
    )

    text: Text = Field(description="the text that is read")
    state: _Kept | None = Field(default=None, min_length=1, description=_STATE)
    top: int = Field(default=5, ge=0, le=20, description="likeliest successors of each token")
    layers: Annotated[list[_Index], Field(max_length=64)] | None = Field(
        default=None, description="layers whose activations are wanted (all); [] for none"
    )
    units: Annotated[list[_Index], Field(max_length=MOST_NUMBERS)] | None = Field(
        default=None, description="units of these layers (all)"
    )
    gates: bool = Field(default=False, description="the gates as well")
    clamp: _Clamps = Field(default=[], description="units to hold at a value while reading")
    encoding: Literal["json", "base64"] = Field(
        default="json",
        description="base64: activations as one array of float16 (little-endian, tokens by layers "
        "by units) in `arrays`, about a tenth as large",
    )
    prefixes: int = Field(
        default=64,
        ge=1,
        le=512,
        description="classifiers: after how many prefixes of the text, evenly spaced, the "
        "probabilities are given",
    )
    nearest_change: bool = Field(
        default=False,
        description="classifiers: look for the fewest tokens whose absence changes the label",
    )


class UnitSearchRequest(RequestFields):
    """Find the units that follow a marking of a text."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"text": "The line,\nthe next line.\n", "marking": "line_position"}]
        }
    )

    text: FullText = Field(description="the text that is read")
    state: _Kept | None = Field(default=None, min_length=1, description=_STATE)
    marking: MarkingName | Literal["all"] | _Numbers = Field(
        description="what the units should follow: a name, a number for each character, or all: "
        "each named marking that the text has"
    )
    by: Literal["correlation", "separation"] = Field(
        default="correlation", description="what the units are ranked by"
    )
    top: int = Field(default=10, ge=1, le=1000, description="how many units to list for a marking")

    @model_validator(mode="after")
    def _a_number_for_each_character(self) -> UnitSearchRequest:
        if isinstance(self.marking, list) and len(self.marking) != len(self.text):
            raise ValueError(
                f"marking: expected one number for each of the text's {len(self.text)} characters, "
                f"got {len(self.marking)}"
            )
        return self


class ClampedGenerationRequest(RequestFields):
    """Generate with units held at a value, and without, from the same random numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "prompt": "The laws of the",
                    "clamp": [{"layer": 1, "unit": 3, "value": 1.0}],
                    "seed": 1,
                }
            ]
        }
    )

    prompt: Text = Field(default="", description="the text to continue")
    state: _Kept | None = Field(default=None, min_length=1, description=_STATE)
    clamp: Annotated[list[ClampedUnit], Field(min_length=1, max_length=64)] = Field(
        description="units to hold at a value from the prompt's first token on"
    )
    max_tokens: int = Field(default=100, ge=1, le=1000, description="most tokens to generate")
    temperature: float = Field(default=1.0, ge=0, le=100, description="0: the likeliest token")
    seed: int | None = Field(
        default=None, ge=0, le=LARGEST_CLIENT_SEED, description="see /generate"
    )


class StateComparisonRequest(RequestFields):
    """Compare the states after two texts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"first": "The laws", "second": "The law", "continuation": " of the country"}
            ]
        }
    )

    first: FullText
    second: FullText
    continuation: Text = Field(
        default="", description="what both read next: how long does the difference last?"
    )
    top: int = Field(default=10, ge=1, le=1000, description="units that differ most")


class MemorySwapRequest(RequestFields):
    """Exchange the memories of two texts, and let both go on from the same random numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "first": "The laws",
                    "second": "The law",
                    "continuation": " of the country",
                    "layers": [1],
                    "seed": 1,
                }
            ]
        }
    )

    first: FullText = Field(description="a text, after which its memory is exchanged")
    second: FullText = Field(description="the text whose memory it gets, and the other way round")
    continuation: FullText = Field(description="what both read after the exchange")
    layers: Annotated[list[_Index], Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="layers that are exchanged; all without it"
    )
    units: Annotated[list[_Index], Field(min_length=1, max_length=MOST_NUMBERS)] | None = Field(
        default=None, description="units of these layers that are exchanged; all without it"
    )
    signals: Annotated[list[Literal["hidden", "cell"]], Field(min_length=1, max_length=2)] = Field(
        default=["hidden", "cell"], description="which states; only LSTMs have cell states"
    )
    max_tokens: int = Field(default=24, ge=1, le=1000, description="most tokens to generate")
    temperature: float = Field(default=1.0, ge=0, le=100, description="0: the likeliest token")
    seed: int | None = Field(
        default=None, ge=0, le=LARGEST_CLIENT_SEED, description="see /generate"
    )


class InfluenceRequest(RequestFields):
    """What each token of a text does to a prediction after it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "The laws of the country", "target": " are"}]}
    )

    text: FullText = Field(description="the text whose tokens are weighed")
    target: Text | None = Field(
        default=None,
        min_length=1,
        description="what is predicted, its first token counts; the likeliest one if left out",
    )


class ContinuationsRequest(RequestFields):
    """How likely several continuations are after each token of a prefix."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prefix": "The laws of the country", "continuations": [" is", " are"]}]
        }
    )

    prefix: FullText
    continuations: Annotated[
        list[Annotated[Text, Field(min_length=1, max_length=200)]],
        Field(min_length=1, max_length=8),
    ]


class UnitStepRequest(RequestFields):
    """The arithmetic of one unit in the step that reads one token."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "The laws of the country", "layer": 0, "unit": 3}]}
    )

    text: FullText = Field(description="the text that is read")
    token: _Index | None = Field(
        default=None, description="index of the token that the step reads, from 0 (the last one)"
    )
    layer: _Index = 0
    unit: _Index = 0


class WordVectorsRequest(RequestFields):
    """Vectors of words, and the words nearest to them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"words": ["the", "to"], "neighbors": 3}]}
    )

    words: Annotated[
        list[Annotated[Text, Field(min_length=1, max_length=200)]],
        Field(min_length=1, max_length=20),
    ] = Field(description="each is one token of the model")
    neighbors: int = Field(default=8, ge=0, le=50, description="nearest words of each word")
