"""The shape of a network, in plain numbers.

An architecture says which cell, how many layers and how wide; it is what the manifest of an
artifact records and what weights are checked against. It knows no torch and holds no weights.
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
LONGEST_NGRAM = 8
MOST_CUTOFFS = 16
LARGEST = 2**24  # of a width
LARGEST_VOCABULARY = 2**20
MOST_LAYERS = 64
MOST_LABELS = 2**16
_BOUNDS = {"vocabulary": LARGEST_VOCABULARY, "layers": MOST_LAYERS, "labels": MOST_LABELS}


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelArchitecture:
    """Embedding, recurrent layers, an optional projection, and a distribution over the vocabulary.

    ``projection`` is the width of a linear layer between the last hidden state and the output
    layer (None: there is none). ``tied`` shares the embedding's weights with the output layer
    (Press and Wolf, 2017), which needs both to be equally wide.

    ``cutoffs`` make the softmax an adaptive one (Grave et al., 2017; none: it is full): the words
    below the first cutoff and the last id, [END], are in its head; those from each cutoff to the
    next are in a tail, ``division`` times narrower than the part before it. That pays where low ids
    are frequent words. What is as wide as the embedding can be tied: the head, and with a
    ``division`` of 1 the tails.
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
                f"tied: the output layer reads {self.output_input} numbers but the embedding has "
                f"{self.embedding}; set projection to {self.embedding} or tied to false"
            )

    @property
    def output_input(self) -> int:
        """How many numbers the output layer reads for one token."""
        return self.projection if self.projection is not None else self.hidden

    def _check_adaptive(self) -> None:
        given: object = self.cutoffs  # a list when it comes from a manifest
        if not isinstance(given, list | tuple) or any(type(cut) is not int for cut in given):
            raise ArchitectureError(f"cutoffs: expected a list of whole numbers, got {given!r}")
        object.__setattr__(self, "cutoffs", tuple(given))
        cutoffs, largest = self.cutoffs, self.vocabulary - 2
        if len(cutoffs) > MOST_CUTOFFS:
            raise ArchitectureError(f"cutoffs: expected at most {MOST_CUTOFFS}, got {len(cutoffs)}")
        rising = all(one < other for one, other in pairwise((0, *cutoffs, largest + 1)))
        if cutoffs and not rising:
            raise ArchitectureError(
                f"cutoffs: expected rising numbers from 1 to {largest}, since the vocabulary has "
                f"{self.vocabulary} tokens, got {', '.join(map(str, cutoffs))}"
            )
        if (self.division is not None) != bool(cutoffs):
            raise ArchitectureError("division: belongs to cutoffs; give both or neither")
        if self.division is not None:
            _check_sizes(self, "division")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierArchitecture:
    """Embedding, recurrent layers in one or two directions, pooling over time, MLP, labels.

    ``pooling`` "last" is the lecture's encoder: the final hidden state alone. "last_max_mean"
    joins it with the maximum and the mean over time; "last_max_mean_words" also with those of the
    word vectors themselves, past the recurrent layers (Shen et al., "Baseline Needs More Love",
    2018). ``mlp`` is the width of the hidden layer. With ``ngrams`` of 2 or more, the
    vectors of the runs of 2 to so many tokens around a token join its own, each length hashed into
    ``ngram_buckets``. With ``linear_ngrams`` of 1 or more, the logits of a linear classifier over
    the runs of 1 to so many tokens are added, each longer length hashed into ``linear_buckets``.
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
            if getattr(self, name) > LONGEST_NGRAM:
                raise ArchitectureError(
                    f"{name}: at most {LONGEST_NGRAM}, got {getattr(self, name)}"
                )
        _check_sizes(self, "vocabulary", "embedding", "hidden", "layers", "mlp", "labels")
        _check_flag("bidirectional", self.bidirectional)
        if self.labels < 2:
            raise ArchitectureError("labels: a classifier needs at least 2")

    @property
    def directions(self) -> int:
        """1, or 2 when the text is also read from its end."""
        return 2 if self.bidirectional else 1

    @property
    def pooled(self) -> int:
        """How many numbers pooling hands to the MLP."""
        hidden = self.hidden * self.directions
        if self.pooling == "last":
            return hidden
        return 3 * hidden + (2 * self.embedding if self.pools_words else 0)

    @property
    def pools_words(self) -> bool:
        """Whether the MLP also sees the word vectors, pooled."""
        return self.pooling == "last_max_mean_words"


Architecture = LanguageModelArchitecture | ClassifierArchitecture
KINDS: dict[str, type[LanguageModelArchitecture] | type[ClassifierArchitecture]] = {
    LanguageModelArchitecture.kind: LanguageModelArchitecture,
    ClassifierArchitecture.kind: ClassifierArchitecture,
}


def architecture_from(kind: str, values: Mapping[str, object]) -> Architecture:
    """The architecture of that kind from a mapping such as a manifest's; checks every field."""
    if kind not in KINDS:
        raise ArchitectureError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    known = {field.name: field for field in fields(KINDS[kind])}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ArchitectureError(f"{unknown[0]}: not a field of a {kind}")
    required = [name for name, field in known.items() if field.default is MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise ArchitectureError(f"{missing[0]}: missing")
    return KINDS[kind](**values)  # type: ignore[arg-type]  # each field is checked as it is built


def architecture_fields(architecture: Architecture) -> dict[str, object]:
    """The architecture as plain values, the inverse of :func:`architecture_from`."""
    return asdict(architecture)


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ArchitectureError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")


def _check_sizes(architecture: object, *names: str) -> None:
    for name in names:
        value = getattr(architecture, name)
        largest = _BOUNDS.get(name, LARGEST)
        if type(value) is not int or not 1 <= value <= largest:
            raise ArchitectureError(
                f"{name}: expected a whole number from 1 to {largest}, got {value!r}"
            )


def _check_flag(name: str, value: object) -> None:
    if type(value) is not bool:
        raise ArchitectureError(f"{name}: expected true or false, got {value!r}")
