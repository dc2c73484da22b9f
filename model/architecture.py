"""Hyperparameters that determine the parameters of a network: cell, layers, widths, output layer.

The manifest of an artifact records them, and the weights are checked against them. Importing this
module loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from itertools import pairwise
from typing import ClassVar, Literal, get_args

from model.errors import ArchitectureError

Cell = Literal["elman", "gru", "lstm"]
Pooling = Literal["last", "last_max_mean", "last_max_mean_words"]

CELLS: tuple[str, ...] = get_args(Cell)
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
MAX_NGRAM_LENGTH = 8
MAX_CUTOFFS = 16
MAX_WIDTH = 2**24
MAX_VOCABULARY = 2**20
MAX_LAYERS = 64
MAX_LABELS = 2**16
_BOUNDS = {"vocabulary": MAX_VOCABULARY, "layers": MAX_LAYERS, "labels": MAX_LABELS}
# Blocks of `hidden` rows in the weights of a layer, as torch stacks them: gates and candidate.
GATE_BLOCKS: dict[Cell, int] = {"elman": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelArchitecture:
    """Hyperparameters of a language model: embedding, recurrent layers, projection, output layer.

    Args:
        cell: "elman", "gru" or "lstm" (torch's nn.RNN, nn.GRU, nn.LSTM).
        vocabulary: tokens of the tokenizer, [END] included.
        embedding: width of the word vectors.
        hidden: width of each recurrent layer.
        layers: number of recurrent layers.
        projection: width of a linear layer between the last hidden state and the output layer, or
            None for no such layer.
        tied: share the embedding's weights with the output layer (Press and Wolf, 2017). Both must
            have the same width.
        cutoffs: token ids that divide the vocabulary of an adaptive softmax (Grave et al., 2017);
            empty for a full softmax. The head holds the ids below the first cutoff and [END], the
            last id. Each tail holds the ids from one cutoff to the next. Low ids should be frequent
            words.
        division: each tail is this many times narrower than the part before it. Only parts as wide
            as the embedding are tied: the head, and with a division of 1 the tails.

    Raises:
        ArchitectureError: a field is out of range; the message names it.
    """

    kind: ClassVar[str] = "language-model"

    cell: Cell
    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    projection: int | None = None
    tied: bool = False
    cutoffs: tuple[int, ...] = ()
    division: int | None = None

    def __post_init__(self) -> None:
        _check_choice("cell", self.cell, CELLS)
        _check_sizes(self, "vocabulary", "embedding", "hidden", "layers")
        self._check_adaptive()
        if self.projection is not None:
            _check_sizes(self, "projection")
        _check_flag("tied", self.tied)
        if self.tied and self.output_input != self.embedding:
            raise ArchitectureError(
                f"tied: the output layer has width {self.output_input} but the embedding has width "
                f"{self.embedding}; set projection to {self.embedding} or tied to false"
            )

    @property
    def output_input(self) -> int:
        """Width of the output layer's input."""
        return self.projection if self.projection is not None else self.hidden

    def _check_adaptive(self) -> None:
        values: object = self.cutoffs  # a list if it comes from a manifest
        if not isinstance(values, list | tuple) or any(
            type(cutoff) is not int for cutoff in values
        ):
            raise ArchitectureError(f"cutoffs: expected a list of whole numbers, got {values!r}")
        object.__setattr__(self, "cutoffs", tuple(values))
        cutoffs, largest = self.cutoffs, self.vocabulary - 2
        if len(cutoffs) > MAX_CUTOFFS:
            raise ArchitectureError(f"cutoffs: expected at most {MAX_CUTOFFS}, got {len(cutoffs)}")
        rising = all(lower < upper for lower, upper in pairwise((0, *cutoffs, largest + 1)))
        if cutoffs and not rising:
            raise ArchitectureError(
                f"cutoffs: expected rising numbers from 1 to {largest}, since the vocabulary has "
                f"{self.vocabulary} tokens, got {', '.join(map(str, cutoffs))}"
            )
        if (self.division is not None) != bool(cutoffs):
            raise ArchitectureError("division: requires cutoffs; give both or neither")
        if self.division is not None:
            _check_sizes(self, "division")

    @property
    def features(self) -> int:
        """Width of a text's embedding: the last layer's hidden state."""
        return self.hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierArchitecture:
    """Hyperparameters of a document classifier: embedding, recurrent layers, pooling, MLP.

    Args:
        cell: "elman", "gru" or "lstm".
        vocabulary: tokens of the tokenizer, [END] included.
        embedding: width of the word vectors.
        hidden: width of each recurrent layer in each direction.
        layers: number of recurrent layers.
        bidirectional: also read the document from its last token to its first.
        pooling: input of the MLP. "last": the final hidden state (Goodfellow et al., 2016, section
            10.5). "last_max_mean": the final hidden state, the maximum and the mean over time.
            "last_max_mean_words": these and the maximum and the mean of the word vectors (Shen et
            al., "Baseline Needs More Love", 2018).
        mlp: width of the MLP's hidden layer.
        labels: number of labels, at least 2.
        ngrams: with 2 or more, add the vectors of the n-grams of length 2 to ``ngrams`` around each
            token to its word vector.
        ngram_buckets: hash buckets of each of these lengths.
        linear_ngrams: with 1 or more, add the logits of a linear classifier over the n-grams of
            length 1 to ``linear_ngrams``.
        linear_buckets: hash buckets of each of its lengths from 2.

    Raises:
        ArchitectureError: a field is out of range; the message names it.
    """

    kind: ClassVar[str] = "classifier"

    cell: Cell
    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    bidirectional: bool = False
    pooling: Pooling = "last"
    mlp: int
    labels: int
    ngrams: int = 1
    ngram_buckets: int = 4096
    linear_ngrams: int = 0
    linear_buckets: int = 16384

    def __post_init__(self) -> None:
        _check_choice("cell", self.cell, CELLS)
        _check_choice("pooling", self.pooling, POOLINGS)
        _check_sizes(self, "ngrams", "ngram_buckets", "linear_buckets")
        if type(self.linear_ngrams) is not int or self.linear_ngrams != 0:
            _check_sizes(self, "linear_ngrams")
        for name in ("ngrams", "linear_ngrams"):
            if getattr(self, name) > MAX_NGRAM_LENGTH:
                raise ArchitectureError(
                    f"{name}: at most {MAX_NGRAM_LENGTH}, got {getattr(self, name)}"
                )
        _check_sizes(self, "vocabulary", "embedding", "hidden", "layers", "mlp", "labels")
        _check_flag("bidirectional", self.bidirectional)
        if self.labels < 2:
            raise ArchitectureError("labels: a classifier needs at least 2")

    @property
    def directions(self) -> int:
        """2 if the network is bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def pooled(self) -> int:
        """Width of the MLP's input."""
        hidden = self.hidden * self.directions
        if self.pooling == "last":
            return hidden
        return 3 * hidden + (2 * self.embedding if self.pools_words else 0)

    @property
    def features(self) -> int:
        """Width of a document's embedding: the MLP's input."""
        return self.pooled

    @property
    def pools_words(self) -> bool:
        """Whether the MLP's input contains the pooled word vectors."""
        return self.pooling == "last_max_mean_words"


Architecture = LanguageModelArchitecture | ClassifierArchitecture
ARCHITECTURES: dict[str, type[LanguageModelArchitecture] | type[ClassifierArchitecture]] = {
    LanguageModelArchitecture.kind: LanguageModelArchitecture,
    ClassifierArchitecture.kind: ClassifierArchitecture,
}


def architecture_from(kind: str, values: Mapping[str, object]) -> Architecture:
    """Builds an architecture from the fields of a manifest.

    Args:
        kind: "language-model" or "classifier".
        values: the fields by name; those with a default may be missing.

    Raises:
        ArchitectureError: an unknown kind, or a field that is missing, unknown or out of range.
    """
    if kind not in ARCHITECTURES:
        raise ArchitectureError(f"kind: expected one of {', '.join(ARCHITECTURES)}, got {kind!r}")
    known = {field.name: field for field in fields(ARCHITECTURES[kind])}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ArchitectureError(f"{unknown[0]}: not a field of a {kind}")
    required = [name for name, field in known.items() if field.default is MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise ArchitectureError(f"{missing[0]}: missing")
    return ARCHITECTURES[kind](**values)  # type: ignore[arg-type]  # each field is checked as it is built


def architecture_fields(architecture: Architecture) -> dict[str, object]:
    """The fields by name, as :func:`architecture_from` takes them."""
    return asdict(architecture)


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ArchitectureError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")


def _check_sizes(architecture: object, *names: str) -> None:
    for name in names:
        value = getattr(architecture, name)
        largest = _BOUNDS.get(name, MAX_WIDTH)
        if type(value) is not int or not 1 <= value <= largest:
            raise ArchitectureError(
                f"{name}: expected a whole number from 1 to {largest}, got {value!r}"
            )


def _check_flag(name: str, value: object) -> None:
    if type(value) is not bool:
        raise ArchitectureError(f"{name}: expected true or false, got {value!r}")
