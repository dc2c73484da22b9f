"""Responses of the inspection routes, as the description of the interface shows them.

Layers and units count from 0. ``signal`` is ``hidden`` or ``cell``. Surprisal and entropy are in
bits, log-probabilities and contributions in nats.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Signal = Literal["hidden", "cell"]
Matrix = list[list[float]]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Successor(_Part):
    """A token that may come next."""

    text: str
    probability: float


class Prediction(_Part):
    """A distribution over the next token."""

    entropy_bits: float
    top: list[Successor]


class LabelProbability(_Part):
    """A label and its calibrated probability."""

    label: str
    score: float


class InspectedToken(_Part):
    """A token of the text. Of a language model: `surprisal_bits` and `entropy_bits` are of the
    prediction before it; `top`, the activations and gates are those after it was read, each a list
    by layer of lists by unit. Of a classifier: `scores` once this token has been read, where they
    were asked for, and its contribution.
    """

    text: str
    unknown: bool | None = Field(default=None, description="true for an unknown word")
    surprisal_bits: float | None = None
    entropy_bits: float | None = None
    top: list[Successor] | None = None
    hidden: Matrix | None = None
    cell: Matrix | None = None
    gates: dict[str, Matrix] | None = None
    scores: list[LabelProbability] | None = None
    contribution: float | None = None


class EncodedArray(_Part):
    """Numbers in base64: float16, little-endian, in the order of tokens, layers, units."""

    dtype: Literal["float16"]
    shape: list[int]
    data: str


class AttributionTotals(_Part):
    """What the contributions add up to: the logit of `label` minus that of `other`."""

    label: str
    other: str
    total: float
    baseline: float = Field(description="the difference that no token contributes to")
    completeness_gap: float = Field(description="total - baseline - the sum of contributions")


class NearestChange(_Part):
    """The tokens whose absence changes the label, and the label then."""

    removed: list[str]
    positions: list[int]
    label: str
    score: float


class InspectResponse(_Part):
    """A text as the model reads it."""

    model: str
    layers: list[int] | None = None
    units: list[int] | None = Field(default=None, description="null: all of them, in order")
    start: Prediction | None = Field(default=None, description="the prediction before the text")
    tokens: list[InspectedToken]
    arrays: dict[str, EncodedArray] | None = Field(
        default=None, description="with encoding base64: hidden, cell and gates by name"
    )
    unknown_tokens: int
    attribution: AttributionTotals | None = None
    nearest_change: NearestChange | None = None


class FollowingUnitFields(_Part):
    """A unit and how closely it follows the marking."""

    layer: int
    unit: int
    signal: Signal
    correlation: float = Field(description="Pearson's r, -1 to 1")
    separation: float = Field(
        description="the chance that the unit is higher at a marked token than at an unmarked one"
    )


class UnitSearchResponse(_Part):
    """The units that follow the marking most closely, the closest first."""

    model: str
    units: list[FollowingUnitFields] | None = Field(default=None, description="for one marking")
    markings: dict[str, list[FollowingUnitFields]] | None = Field(
        default=None,
        description="for all: the units by the name of the marking, without markings that are the "
        "same at every token",
    )


class GeneratedText(_Part):
    """A continuation, and its tokens."""

    text: str
    tokens: list[str]
    finish_reason: Literal["end", "length"]


class ClampedGenerationResponse(_Part):
    """Two continuations from the same random numbers."""

    model: str
    seed: int
    clamped: GeneratedText
    unclamped: GeneratedText


class MemorySwapResponse(_Part):
    """Four continuations from the same random numbers: of each text as it is, and with the memory
    of the other one.
    """

    model: str
    seed: int
    first: GeneratedText
    second: GeneratedText
    first_swapped: GeneratedText
    second_swapped: GeneratedText


class UnitDifferenceFields(_Part):
    """A unit after each of the two texts."""

    layer: int
    unit: int
    signal: Signal
    first: float
    second: float


class DivergenceStep(_Part):
    """How far the two are apart after so many common tokens; the first step is before them."""

    text: str
    distance: list[float] = Field(
        description="of the hidden states by layer, relative to their mean length"
    )
    divergence_bits: float = Field(
        description="Jensen-Shannon divergence of the two predictions, 0 to 1"
    )


class StateComparisonResponse(_Part):
    """The states after two texts."""

    model: str
    units: list[UnitDifferenceFields]
    steps: list[DivergenceStep]
    lasts_tokens: int | None = Field(
        default=None,
        description="common tokens until every layer's distance stays below a tenth of the first; "
        "left out: it lasts beyond the continuation",
    )


class InfluentialToken(_Part):
    """A token and what it does to the prediction of the target."""

    text: str
    gradient: float = Field(description="length of the gradient with respect to its vector")
    contribution: float = Field(description="gradient times vector")
    erasure: float = Field(description="the log-probability minus that without this token")
    factor: float = Field(
        description="norm of the gradient with respect to the state before this token, divided by "
        "that after it: the factors from the last token back to the one after this token multiply "
        "to the share of the gradient that reaches this token's step"
    )


class InfluenceResponse(_Part):
    """The influence of each token on one prediction."""

    model: str
    target: str
    logprob: float
    tokens: list[InfluentialToken]


class ContinuationStep(_Part):
    """The log-probability of each continuation once this token has been read."""

    text: str
    logprobs: list[float]


class ContinuationsResponse(_Part):
    """Continuations compared; the first step, without text, is before the prefix."""

    model: str
    continuations: list[list[str]]
    steps: list[ContinuationStep]


class TermFields(_Part):
    """A part of the cell: `h` of an Elman cell; `r`, `z`, `g` of a GRU; `i`, `f`, `g`, `o` of an
    LSTM.
    """

    letter: str
    read: float = Field(description="W_x x")
    recalled: float = Field(description="W_h h")
    read_bias: float
    recalled_bias: float
    value: float = Field(
        description="tanh of the sum for h and g, the sigmoid for the others; in g of a GRU r "
        "multiplies recalled + recalled_bias"
    )


class UnitStepResponse(_Part):
    """One unit before and after the step that reads a token."""

    model: str
    cell_kind: Literal["elman", "gru", "lstm"]
    text: str = Field(description="the token that the step reads")
    terms: list[TermFields]
    hidden_before: float
    cell_before: float | None = Field(default=None, description="of an LSTM")
    hidden: float
    cell: float | None = Field(default=None, description="of an LSTM")


class NeighborFields(_Part):
    """A word and the cosine of its vector with that of the word asked for."""

    word: str
    cosine: float


class WordVectorFields(_Part):
    """A word with its vector and its nearest words, the nearest first."""

    word: str
    norm: float
    vector: list[float]
    neighbors: list[NeighborFields]


class WordPoint(_Part):
    """A word on the map."""

    word: str
    x: float
    y: float


class WordVectorsResponse(_Part):
    """Word vectors and a map of two dimensions: the first two principal components of the vectors
    of all words here, each scaled to length 1.
    """

    model: str
    words: list[WordVectorFields]
    points: list[WordPoint] = Field(description="the words and their neighbors")
    explained: float = Field(description="share of the variance that the map shows, 0 to 1")
