"""Options of ``python -m training classifier`` and the defaults that depend on the data.

The defaults were tuned on two CPU cores, for data sets from a few hundred to a few ten thousand
documents; docs/experiments.md has the measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from training.config.options import check_values, option
from training.config.shared_options import (
    average_every_option,
    check_label_separator,
    check_outer_steps,
    checkpoint_seconds_option,
    clip_norm_option,
    clip_value_option,
    count_option,
    description_option,
    encoding_option,
    evaluations_option,
    freeze_embeddings_option,
    header_option,
    label_separator_option,
    license_option,
    minimum_count_option,
    name_option,
    outer_learning_rate_option,
    outer_momentum_option,
    seed_option,
    share_option,
    storage_option,
    threads_option,
    valid_option,
    vocabulary_option,
    warm_up_option,
)
from training.config.time_budget import PACE_HELP, check_pace
from training.errors import RecipeError

NO_OUT_OF_SCOPE = (
    "a multi-label model gives no label to a text that none fits; leave the option out, and give "
    "such texts without labels"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierRecipe:
    """Options of a run. The run chooses the value of an option that is None."""

    train: tuple[str, ...] = option(
        (),
        "labeled .jsonl, .csv or .tsv files, lines with __label__NAME (also compressed), a folder "
        "with a folder for each label, or hf:NAME[:SPLIT]",
        metavar="FILE",
    )
    valid: tuple[str, ...] = valid_option()
    test: tuple[str, ...] = option(
        (), "test files, on which the final model is measured", metavar="FILE"
    )
    holdout: float = share_option(
        0.1, "share of each label's examples that is held out for validation without --valid"
    )
    text_column: str | None = option(
        None,
        "text column, by name or by number from 1",
        unset='"text", or the only choice left',
    )
    label_column: str | None = option(
        None,
        "label column, by name or by number from 1",
        unset='"label", or the only choice left',
    )
    multi_label: bool | None = option(
        None,
        "several labels a text, or none: each label has a probability and a threshold of its own",
        unset="yes if a text of the data has several labels or an empty list of them",
    )
    label_separator: str | None = label_separator_option()
    header: bool | None = header_option()
    encoding: str | None = encoding_option()
    skip_empty: bool = option(False, "leave out records without a text or a label")
    out_of_scope_label: str | None = option(
        None,
        "label of the examples that belong to none of the other labels: the model learns to "
        "detect them, not to predict the label",
        metavar="LABEL",
    )
    out_of_scope_share: float | None = share_option(
        None, "expected share of texts out of scope", unset="that of the validation split"
    )
    name: str | None = name_option()
    description: str | None = description_option()
    license: str | None = license_option()

    from_: str | None = option(
        None,
        "language model whose encoder and tokenizer the classifier begins with",
        metavar="ARTIFACT",
    )
    tokenizer: Literal["word", "char", "bpe"] | None = option(
        None,
        "unit of a token; words are lower-cased",
        unset="word; char for scripts without spaces between words and for single words",
    )
    vocabulary: int | None = vocabulary_option()
    minimum_count: int | None = minimum_count_option(unset="2 from 200 documents on, else 1")
    max_tokens: int = count_option(2000, "largest number of tokens of a document")
    truncation: Literal["head", "ends"] = option(
        "ends", "tokens to keep of a longer document: the first ones, or half from each end"
    )
    crop: int | None = count_option(
        None,
        "length of the random window that each epoch reads of a longer document",
        unset="200 if documents have more than 250 tokens on average, else none",
    )
    vectors: str | None = option(
        None,
        "word2vec, fastText or GloVe file (text or .bin, also compressed, or .npy) that "
        "initializes the embedding; fastText's .bin has vectors for unknown words, too",
        metavar="FILE",
    )
    vector_words: int = option(
        15_000,
        "number of frequent words of --vectors that join the vocabulary",
        metavar="N",
        at_least=0,
    )
    freeze_embeddings: bool = freeze_embeddings_option()

    ngrams: int | None = count_option(
        None,
        "longest token n-gram that has a vector of its own; 1: none",
        unset="4 for characters, else 1",
    )
    ngram_buckets: int = count_option(4096, "number of hash buckets for the n-grams of each length")

    linear_ngrams: int | None = option(
        None,
        "longest n-gram of a linear classifier that joins the network; 0: no such classifier",
        metavar="N",
        unset="2; 4 for characters; 0 with more than 300 labels or --preset lecture",
        at_least=0,
    )
    linear_buckets: int | None = count_option(
        None,
        "number of its hash buckets for the n-grams of each length",
        unset="131,072, fewer for many labels",
    )

    preset: Literal["lecture"] | None = option(
        None,
        "defaults for --pooling, --bidirectional and --linear-ngrams; lecture: the final hidden "
        "state of one direction goes into the MLP, and no linear classifier joins",
    )
    cell: Literal["lstm", "gru", "elman"] | None = option(None, "recurrent cell", unset="lstm")
    layers: int | None = count_option(None, "number of recurrent layers", unset="1")
    hidden: int | None = count_option(
        None, "size of the hidden state of each direction", unset="128"
    )
    embedding: int | None = count_option(
        None, "size of the embedding", unset="that of --vectors; 64 for characters, else 100"
    )
    bidirectional: bool | None = option(
        None,
        "read documents in both directions",
        unset="yes; with --from as the language model; no with --preset lecture",
    )
    pooling: Literal["last", "last_max_mean", "last_max_mean_words"] | None = option(
        None,
        "input of the head: the final state; with maximum and mean over time; with those of the "
        "word vectors",
        unset="last_max_mean_words; last with --preset lecture",
    )
    mlp: int | None = count_option(
        None, "size of the hidden layer of the head", unset="128; 256 with more than 20 labels"
    )

    minutes: float | None = option(
        None, "duration of the whole command", metavar="N", unset="no limit", above=0
    )
    epochs: float | None = option(
        None,
        "number of passes over the data; with --minutes, the first of the two limits ends the run",
        metavar="N",
        unset="3 to 40, by documents and labels",
        above=0,
    )
    pace: tuple[int, ...] | None = option(
        None, PACE_HELP, metavar="N", follows=("minutes", "epochs")
    )
    patience: int = option(
        4,
        "evaluations in a row below the best by more than its standard error after which the run "
        "stops; 0: never",
        metavar="N",
        at_least=0,
    )
    evaluations: int = evaluations_option(10)
    average_every: int = average_every_option()
    outer_momentum: float = outer_momentum_option()
    outer_learning_rate: float = outer_learning_rate_option()
    checkpoint_seconds: float = checkpoint_seconds_option(30.0)

    batch: int | None = count_option(
        None,
        "number of documents of average length in a step; of longer ones there are fewer",
        unset="32; 16 with --crop; fewer for small data",
    )
    learning_rate: float | None = option(
        None,
        "peak learning rate",
        metavar="X",
        unset="0.002; 0.004 for characters; 0.005 with --from; half as much for elman",
        above=0,
    )
    layer_decay: float | None = option(
        None,
        "factor by which the learning rate falls from each layer to the one below it",
        metavar="X",
        unset="1; 2.6 with --from",
        above=0,
    )
    unfreezing: float | None = share_option(
        None,
        "share of the run over which layers are unfrozen, from the head down",
        unset="0; 0.3 with --from",
    )
    warm_up: float = warm_up_option(0.15)
    weight_decay: float = option(0.01, "weight decay of AdamW", metavar="X", at_least=0)
    clip_norm: float = clip_norm_option(1.0)
    clip_value: float = clip_value_option()
    noise: float | None = share_option(
        None,
        "number of made-up texts, as a share of the training documents, for which the model learns "
        "to have no confidence; 0: none",
        unset="0.1; 0 for characters",
    )
    label_smoothing: float = share_option(0.05, "share of each target that all labels get")

    dropout_input: float | None = share_option(
        None, "locked dropout of the embedded tokens", metavar="P", unset="0.3; 0.1 for characters"
    )
    dropout_hidden: float = share_option(0.2, "locked dropout between layers", metavar="P")
    dropout_output: float | None = share_option(
        None, "locked dropout of the last layer", metavar="P", unset="0.3; 0.5 for characters"
    )
    dropout_weight: float = share_option(0.0, "dropout of hidden-to-hidden weights", metavar="P")
    dropout_embedding: float = share_option(0.0, "dropout of whole word types", metavar="P")
    dropout_word: float | None = share_option(
        None, "dropout of single tokens", metavar="P", unset="0.1; 0 for characters"
    )
    dropout_ngram: float = share_option(0.7, "dropout of single n-grams", metavar="P")
    dropout_mlp: float | None = share_option(
        None, "dropout inside the head", metavar="P", unset="0.2; 0.5 for characters"
    )

    precision: Literal["auto", "float32", "bfloat16"] | None = option(
        None,
        "number format of matrix products; auto: bfloat16 where the processor computes it",
        unset="auto for long runs, else float32",
    )
    storage: Literal["float32", "float16"] = storage_option()
    threads: int | None = threads_option()
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check_values(self)
        check_outer_steps(self.average_every, self.outer_momentum, self.outer_learning_rate)
        check_label_separator(self.label_separator)
        self._check_multi_label()
        check_pace(self.pace, self.minutes)

    @property
    def may_have_several_labels(self) -> bool | None:
        """Whether a text may have several labels; None if the data decide it."""
        return True if self.label_separator is not None else self.multi_label

    def _check_multi_label(self) -> None:
        several = self.may_have_several_labels
        if self.label_separator is not None and self.multi_label is False:
            raise RecipeError(
                "--label-separator: splits a cell into several labels, but --no-multi-label is "
                "given; leave one of them out"
            )
        if several and self.out_of_scope_label is not None:
            raise RecipeError(f"--out-of-scope-label: {NO_OUT_OF_SCOPE}")


# Encoders as they are taught: an RNN reads the words, and an MLP reads its final hidden state.
PRESETS: dict[str, dict[str, Any]] = {
    "lecture": {"pooling": "last", "bidirectional": False, "linear_ngrams": 0},
}
LAYER_DECAY = 2.6  # of Howard and Ruder (2018)
UNFREEZING = 0.3
MAX_LINEAR_WEIGHTS, MAX_LINEAR_BUCKETS = 1 << 20, 1 << 17
MAX_LINEAR_LABELS = 300  # with more, the fit of a linear classifier takes gigabytes
LONG_DOCUMENT, CROP = 250, 200  # tokens
LONG_RUN = 3_000_000  # tokens
SMALL_DATASET = 200  # documents; in fewer, a word that occurs once may be decisive


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSize:
    """Numbers of training documents and labels, and the mean number of tokens in a document."""

    documents: int
    labels: int
    length: float


def complete_classifier(recipe: ClassifierRecipe, size: DatasetSize) -> ClassifierRecipe:
    """The recipe with defaults for all options that are None, but for ``minutes``.

    Small data sets get more epochs. A time budget may end a run before its epochs do.
    """
    characters = recipe.tokenizer == "char"
    many_labels = size.labels > 20
    pretrained = recipe.from_ is not None
    cropped = recipe.crop is not None or size.length > LONG_DOCUMENT
    defaults: dict[str, Any] = {
        "tokenizer": "word",
        "cell": "lstm",
        "layers": 1,
        "hidden": 128,
        "bidirectional": not pretrained,
        "pooling": "last_max_mean_words",
        "layer_decay": LAYER_DECAY if pretrained else 1.0,
        "unfreezing": UNFREEZING if pretrained else 0.0,
        "epochs": _epochs(size, cropped=cropped, characters=characters),
        "ngrams": 4 if characters and not pretrained else 1,
        "linear_ngrams": 0 if size.labels > MAX_LINEAR_LABELS else 4 if characters else 2,
        "learning_rate": _learning_rate(recipe),
        "dropout_output": 0.5 if characters else 0.3,
        "dropout_mlp": 0.5 if characters else 0.2,
        "minimum_count": 2 if size.documents >= SMALL_DATASET else 1,
        "batch": max(1, min(16 if cropped else 32, size.documents // 32)),
        "embedding": 64 if characters else 100,
        "mlp": 256 if many_labels else 128,
        "dropout_input": 0.1 if characters else 0.3,
        "dropout_word": 0.0 if characters else 0.1,
        "noise": 0.0 if characters else 0.1,
    }
    if recipe.preset is not None:
        defaults |= PRESETS[recipe.preset]
    given = {name: getattr(recipe, name) for name in defaults}
    recipe = replace(recipe, **{n: defaults[n] if v is None else v for n, v in given.items()})
    recipe = replace(recipe, linear_buckets=recipe.linear_buckets or _buckets(recipe, size))
    if cropped:
        recipe = replace(recipe, crop=recipe.crop or CROP)
    return replace(recipe, precision=recipe.precision or _precision(recipe, size))


def _learning_rate(recipe: ClassifierRecipe) -> float:
    """Half as high for an Elman cell: no gate bounds what a step does to its state."""
    rate = 5e-3 if recipe.from_ is not None else 4e-3 if recipe.tokenizer == "char" else 2e-3
    return rate / 2 if recipe.cell == "elman" else rate


def _epochs(size: DatasetSize, *, cropped: bool, characters: bool) -> float:
    """More for few documents, many labels, characters, and cropped documents."""
    epochs = 6.0 * (8000 / size.documents) ** 0.5 * (1 + math.log10(size.labels / 2))
    epochs *= (2.0 if cropped else 1.0) * (2.0 if characters else 1.0)
    return float(max(3, min(40, round(epochs))))


def _buckets(recipe: ClassifierRecipe, size: DatasetSize) -> int:
    """The largest power of two that keeps the number of all weights below the limit."""
    per_label = MAX_LINEAR_WEIGHTS // (size.labels * max(1, (recipe.linear_ngrams or 0) - 1))
    return min(MAX_LINEAR_BUCKETS, 1 << max(0, per_label.bit_length() - 1))


def _precision(recipe: ClassifierRecipe, size: DatasetSize) -> Literal["auto", "float32"]:
    length = min(size.length, recipe.crop or size.length)
    return "auto" if size.documents * length * (recipe.epochs or 0.0) > LONG_RUN else "float32"
