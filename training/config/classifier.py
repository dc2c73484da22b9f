"""The options of ``python -m training classifier``, and what it chooses where none is given.

The choices are fitted to two CPU cores and to corpora from a few hundred to a few ten thousand
documents; what was tried stands in docs/experiments.md. Knows no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from training.config.options import check_values, option
from training.config.time_budget import HELP as PACE_HELP
from training.config.time_budget import check_pace
from training.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierRecipe:
    """Options of a run; None means that the run chooses."""

    train: tuple[str, ...] = option(
        (), "labeled .jsonl, .csv or .tsv files (also compressed), or hf:NAME[:SPLIT]"
    )
    valid: tuple[str, ...] = option(
        (), "validation files; without them a share of --train is held out, label by label"
    )
    test: tuple[str, ...] = option((), "test files: measured once, at the end")
    holdout: float = option(0.1, "the share that is held out where --valid is missing")
    text_column: str | None = option(
        None, 'the column of texts, by name or by number from 1; "text", or the only choice left'
    )
    label_column: str | None = option(
        None, 'the column of labels, by name or by number; "label", or the only choice left'
    )
    header: bool | None = option(
        None, "whether the first row of .csv and .tsv files names the columns (as it looks)"
    )
    skip_empty: bool = option(False, "leave out records without a text or a label, and count them")
    out_of_scope_label: str | None = option(
        None,
        "the label of examples that belong to none of the others: no label to learn, but texts to "
        "tell from the rest",
        metavar="LABEL",
    )
    out_of_scope_share: float | None = option(
        None,
        "how much of what will be asked is thought to be out of scope (as in the validation split)",
        metavar="X",
    )
    name: str | None = option(None, "the model's name; the name of --out if not given")
    description: str | None = option(None, "a sentence or two for the model card", fixed=False)
    licence: str | None = option(None, "of the data and so of the model, for its card", fixed=False)

    from_: str | None = option(
        None,
        "begin from the encoder of a trained language model, and read in its tokens",
        metavar="ARTIFACT",
    )
    tokenizer: Literal["word", "char", "bpe"] | None = option(
        None, "what a token is (word); words are read in lower case"
    )
    vocabulary: int | None = option(None, "how many tokens there are at most", metavar="N")
    minimum_count: int | None = option(
        None, "leave out words or characters seen less often", metavar="N"
    )
    max_tokens: int = option(2000, "how many tokens of a document are read at most", metavar="N")
    truncation: Literal["head", "ends"] = option(
        "ends", "what is read of a longer document: its first tokens, or half from each end"
    )
    crop: int | None = option(
        None,
        "in training, read of a longer document a random window of so many tokens each epoch (200 "
        "where documents are longer than 250 on average, else all)",
        metavar="N",
    )
    vectors: str | None = option(
        None,
        "word2vec, fastText or GloVe file (text, also compressed, or .npy) to begin the embedding "
        "from",
        metavar="FILE",
    )
    vector_words: int = option(
        15_000,
        "frequent words of --vectors that are known even if no document has them",
        metavar="N",
    )
    freeze_embeddings: bool = option(False, "leave the embedding as it begins")

    ngrams: int | None = option(
        None,
        "runs of 2 to so many tokens have vectors that join those of the tokens (4 for characters, "
        "else 1: none)",
        metavar="N",
    )
    ngram_buckets: int = option(
        4096, "the runs of each length are hashed into so many vectors", metavar="N"
    )

    linear_ngrams: int | None = option(
        None,
        "a linear classifier over runs of 1 to so many tokens stands beside the network (2; 4 for "
        "characters; 0 with more than 300 labels); 0: none",
        metavar="N",
    )
    linear_buckets: int | None = option(
        None,
        "its runs of each length are hashed into so many weights a label (up to 131,072, fewer for "
        "many labels)",
        metavar="N",
    )

    cell: Literal["lstm", "gru", "elman"] | None = option(None, "the recurrent cell (lstm)")
    layers: int | None = option(None, "recurrent layers (1)", metavar="N")
    hidden: int | None = option(
        None, "width of a hidden state, of each direction (128)", metavar="N"
    )
    embedding: int | None = option(
        None, "width of a token's vector; that of --vectors where they are given", metavar="N"
    )
    bidirectional: bool | None = option(
        None, "read documents from both ends (yes, but with --from as the language model does)"
    )
    pooling: Literal["last", "last_max_mean", "last_max_mean_words"] = option(
        "last_max_mean_words",
        "what the head sees: the final state; maximum and mean over time too; those of the word "
        "vectors too",
    )
    mlp: int | None = option(None, "width of the head's hidden layer", metavar="N")

    minutes: float | None = option(None, "how long the whole command may take", metavar="N")
    epochs: float | None = option(
        None, "passes over the data; with --minutes, whichever ends first", metavar="N"
    )
    pace: tuple[int, ...] | None = option(
        None, PACE_HELP, metavar="N", follows=("minutes", "epochs")
    )
    patience: int = option(
        4,
        "stop after so many evaluations in a row that are worse than the best by more than its "
        "standard error; 0: never",
        metavar="N",
    )
    evaluations: int = option(10, "how many times the run is evaluated", metavar="N")
    checkpoint_seconds: float = option(30.0, "how often the run is saved", metavar="N", fixed=False)

    batch: int | None = option(
        None, "documents of average length in one step; long ones share it with fewer", metavar="N"
    )
    learning_rate: float | None = option(
        None, "the highest learning rate of the cycle", metavar="X"
    )
    layer_decay: float | None = option(
        None,
        "each layer beneath the head learns so many times slower than the one above (1; 2.6 with "
        "--from)",
        metavar="X",
    )
    unfreezing: float | None = option(
        None,
        "the share of the run over which layers begin to learn, from the head down (0; 0.3 with "
        "--from)",
        metavar="X",
    )
    warm_up: float = option(0.15, "the share of the run in which the learning rate rises")
    weight_decay: float = option(0.01, "AdamW's decay", metavar="X")
    clip_norm: float = option(1.0, "gradients are scaled down to this norm; 0: not")
    clip_value: float = option(0.0, "each gradient is cut off at this size; 0: not")
    label_smoothing: float = option(0.05, "the share of each target spread over all labels")

    dropout_input: float | None = option(None, "locked dropout of the embedded tokens", metavar="P")
    dropout_hidden: float = option(0.2, "locked dropout between layers", metavar="P")
    dropout_output: float | None = option(None, "locked dropout of the last layer", metavar="P")
    dropout_weight: float = option(0.0, "dropout of hidden-to-hidden weights", metavar="P")
    dropout_embedding: float = option(0.0, "dropout of whole word types", metavar="P")
    dropout_word: float | None = option(None, "dropout of single tokens", metavar="P")
    dropout_ngram: float = option(0.7, "dropout of single n-grams", metavar="P")
    dropout_mlp: float | None = option(None, "dropout inside the head", metavar="P")

    precision: Literal["auto", "float32", "bfloat16"] | None = option(
        None,
        "number format of the products; auto: bfloat16 where the processor computes in it (auto "
        "for long runs, else float32)",
    )
    storage: Literal["float32", "float16"] = option(
        "float32", "number format of the weights in the artifact; float16 is half the size"
    )
    threads: int | None = option(
        None, "processor threads; all there are if not given", metavar="N", fixed=False
    )
    seed: int = option(1, "decides the run", metavar="N")

    def __post_init__(self) -> None:
        check_values(self)
        for name in SHARES:
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < 1.0:
                raise RecipeError(f"{_flag(name)}: expected from 0 up to but not 1, got {value}")
        for name in POSITIVE:
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RecipeError(f"{_flag(name)}: expected more than 0, got {value}")
        for name in NOT_NEGATIVE:
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise RecipeError(f"{_flag(name)}: expected 0 or more, got {value}")
        check_pace(self.pace, self.minutes)


LAYER_DECAY = 2.6  # as Howard and Ruder (2018) found
UNFREEZING = 0.3
LINEAR_WEIGHTS, MOST_BUCKETS = 1 << 20, 1 << 17
MOST_LABELS = 300  # with more, the fit of a linear classifier takes gigabytes
LONG, WINDOW = 250, 200  # tokens
LONG_RUN = 3_000_000  # tokens
SMALL_CORPUS = 200  # documents: in fewer, a word that is seen once may be the one that matters
SHARES = (
    "holdout", "out_of_scope_share", "warm_up", "unfreezing", "label_smoothing", "dropout_input",
    "dropout_hidden", "dropout_output", "dropout_weight", "dropout_embedding", "dropout_word",
    "dropout_ngram", "dropout_mlp",
)  # fmt: skip
POSITIVE = (
    "vocabulary", "minimum_count", "max_tokens", "crop", "layers", "hidden", "embedding", "mlp",
    "batch", "minutes", "epochs", "evaluations", "checkpoint_seconds", "learning_rate",
    "layer_decay", "ngrams", "ngram_buckets", "linear_buckets", "threads",
)  # fmt: skip
NOT_NEGATIVE = (
    "vector_words",
    "patience",
    "linear_ngrams",
    "weight_decay",
    "clip_norm",
    "clip_value",
    "seed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSize:
    """What the choices depend on: training documents, labels, and the mean number of tokens."""

    documents: int
    labels: int
    length: float


def complete(recipe: ClassifierRecipe, size: CorpusSize) -> ClassifierRecipe:
    """The recipe with a value in the place of every None but a budget of minutes.

    Small corpora are read more often; a time budget may end a run before its epochs do.
    """
    characters = recipe.tokenizer == "char"
    many_labels = size.labels > 20
    trained = recipe.from_ is not None
    windows = recipe.crop is not None or size.length > LONG
    chosen: dict[str, Any] = {
        "tokenizer": "word",
        "cell": "lstm",
        "layers": 1,
        "hidden": 128,
        "bidirectional": not trained,
        "layer_decay": LAYER_DECAY if trained else 1.0,
        "unfreezing": UNFREEZING if trained else 0.0,
        "epochs": _epochs(size, windows=windows, characters=characters),
        "ngrams": 4 if characters and not trained else 1,
        "linear_ngrams": 0 if size.labels > MOST_LABELS else 4 if characters else 2,
        "learning_rate": 5e-3 if trained else 4e-3 if characters else 2e-3,
        "dropout_output": 0.5 if characters else 0.3,
        "dropout_mlp": 0.5 if characters else 0.2,
        "minimum_count": 2 if size.documents >= SMALL_CORPUS else 1,
        "batch": max(1, min(16 if windows else 32, size.documents // 32)),
        "embedding": 64 if characters else 100,
        "mlp": 256 if many_labels else 128,
        "dropout_input": 0.1 if characters else 0.3,
        "dropout_word": 0.0 if characters else 0.1,
    }
    given = {name: getattr(recipe, name) for name in chosen}
    recipe = replace(recipe, **{n: chosen[n] if v is None else v for n, v in given.items()})
    recipe = replace(recipe, linear_buckets=recipe.linear_buckets or _buckets(recipe, size))
    if windows:
        recipe = replace(recipe, crop=recipe.crop or WINDOW)
    return replace(recipe, precision=recipe.precision or _precision(recipe, size))


def _epochs(size: CorpusSize, *, windows: bool, characters: bool) -> float:
    """More for few documents, for many labels, for letters, and for windows of long documents."""
    epochs = 6.0 * (8000 / size.documents) ** 0.5 * (1 + math.log10(size.labels / 2))
    epochs *= (2.0 if windows else 1.0) * (2.0 if characters else 1.0)
    return float(max(3, min(40, round(epochs))))


def _buckets(recipe: ClassifierRecipe, size: CorpusSize) -> int:
    """A power of two, so that all weights stay within bounds."""
    share = LINEAR_WEIGHTS // (size.labels * max(1, (recipe.linear_ngrams or 0) - 1))
    return min(MOST_BUCKETS, 1 << max(0, share.bit_length() - 1))


def _precision(recipe: ClassifierRecipe, size: CorpusSize) -> Literal["auto", "float32"]:
    length = min(size.length, recipe.crop or size.length)
    return "auto" if size.documents * length * (recipe.epochs or 0.0) > LONG_RUN else "float32"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
