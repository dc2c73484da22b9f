"""Options of ``python -m training lm`` and the defaults that depend on data and time budget.

The defaults were tuned on two CPU cores: the more time for each token, the wider the network and
the stronger the dropout. docs/experiments.md has the measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from training.config.options import check_values, option
from training.config.shared_options import (
    checkpoint_seconds_option,
    clip_norm_option,
    clip_value_option,
    column_option,
    count_option,
    description_option,
    encoding_option,
    evaluations_option,
    freeze_embeddings_option,
    header_option,
    license_option,
    minimum_count_option,
    name_option,
    seed_option,
    share_option,
    storage_option,
    threads_option,
    unit_option,
    valid_option,
    vocabulary_option,
    warm_up_option,
)
from training.config.time_budget import PACE_HELP, check_pace
from training.errors import RecipeError

# Dropout at forty epochs (after Merity et al., 2018).
WORD_DROPOUT = {
    "dropout_input": 0.5,
    "dropout_hidden": 0.3,
    "dropout_output": 0.3,
    "dropout_embedding": 0.08,
    "dropout_weight": 0.4,
}
CHARACTER_DROPOUT = {
    "dropout_input": 0.0,
    "dropout_hidden": 0.3,
    "dropout_output": 0.3,
    "dropout_embedding": 0.0,
    "dropout_weight": 0.0,
}
DEFAULT_SPEED = 1e11  # floating-point operations per second of training, if not measured
HIDDEN_SIZES = (128, 200, 256, 320, 400, 512, 650, 800)
TOKENS_PER_WEIGHT = 4.0  # training tokens for each recurrent weight that justify a hidden size
LARGE_VOCABULARY = 5_000  # tokens, above which the softmax is sampled
CANDIDATES_RANGE = (1_200, 2_500)  # of the sampled softmax
CUTOFFS = (2_000, 10_000)  # of an adaptive softmax, as far as below half of the vocabulary
DIVISION = 4
DEFAULT_MINUTES = 10.0


def dropout_option(text: str) -> Any:
    """A share that :func:`complete_language_model` chooses if it is not given."""
    return share_option(None, text, metavar="P", unset="by the number of epochs")


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelRecipe:
    """Options of a run. The run chooses the value of an option that is None."""

    train: tuple[str, ...] = option(
        (),
        "text, .jsonl, .csv or .tsv files (also compressed), folders, or hf:NAME[:SPLIT]",
        metavar="FILE",
    )
    valid: tuple[str, ...] = valid_option()
    holdout: float = share_option(
        0.05, "share of the text that is held out for validation without --valid"
    )
    unit: Literal["file", "paragraph", "line"] = unit_option()
    column: str | None = column_option()
    header: bool | None = header_option()
    encoding: str | None = encoding_option()
    name: str | None = name_option()
    description: str | None = description_option()
    license: str | None = license_option()

    token_cache: str | None = option(
        None,
        "directory that keeps the tokenized text for other runs",
        metavar="DIR",
        unset="directory of the run",
        fixed=False,
    )

    tokenizer: Literal["word", "char", "bpe"] = option("word", "unit of a token")
    vocabulary: int | None = vocabulary_option()
    minimum_count: int | None = minimum_count_option(
        unset="2 for words without --vocabulary, else 1"
    )
    pretokenized: bool | None = option(
        None, "split words at spaces only, as in WikiText", unset="detected"
    )

    cell: Literal["lstm", "gru", "elman"] = option("lstm", "recurrent cell")
    layers: int | None = count_option(None, "number of recurrent layers", unset="2")
    hidden: int | None = count_option(
        None,
        "size of the hidden state",
        unset="128 to 800, by the number of tokens that the run reads",
    )
    embedding: int | None = count_option(
        None, "size of the embedding", unset="that of --hidden, at most 256; 64 for characters"
    )
    projection: int | None = option(
        None,
        "size of a layer between hidden state and output; 0: no such layer",
        metavar="N",
        unset="that of --embedding where tied weights need it",
        at_least=0,
    )
    tied: bool | None = option(
        None, "share the weights of embedding and output layer", unset="yes; no for characters"
    )
    vectors: str | None = option(
        None,
        "word2vec, fastText or GloVe text file that initializes the embedding",
        metavar="FILE",
    )
    freeze_embeddings: bool = freeze_embeddings_option()

    minutes: float | None = option(
        None,
        "duration of the whole command",
        metavar="N",
        unset="10 without --epochs and --steps",
        above=0,
    )
    epochs: float | None = option(
        None, "number of passes over the data, instead of --minutes", metavar="N", above=0
    )
    steps: int | None = count_option(None, "number of optimizer steps, instead of --minutes")
    pace: tuple[int, ...] | None = option(
        None, PACE_HELP, metavar="N", follows=("minutes", "epochs", "steps")
    )
    patience: int = option(
        8,
        "evaluations in a row without a better one after which the run stops; 0: never",
        metavar="N",
        at_least=0,
    )
    evaluations: int = evaluations_option(16)
    evaluation_tokens: int | None = count_option(
        None,
        "approximate number of tokens that each evaluation reads",
        unset="by the time that evaluation takes",
    )
    checkpoint_seconds: float = checkpoint_seconds_option(60.0)

    batch: int | None = count_option(
        None, "number of columns of text that are read in parallel", unset="16; 32 for characters"
    )
    bptt: int | None = count_option(
        None, "number of steps of backpropagation through time", unset="70; 128 for characters"
    )
    restart: float = share_option(
        0.02, "probability that a column begins a window from the initial state"
    )
    learning_rate: float | None = option(
        None, "peak learning rate", metavar="X", unset="by --hidden", above=0
    )
    warm_up: float = warm_up_option(0.12)
    weight_decay: float | None = option(
        None, "weight decay of AdamW", metavar="X", unset="0.01", at_least=0
    )
    clip_norm: float = clip_norm_option(0.25)
    clip_value: float = clip_value_option()
    softmax: Literal["full", "sampled", "adaptive"] | None = option(
        None,
        "softmax over all tokens, estimated from a sample, or with clusters of rare tokens",
        unset="sampled for vocabularies over 5,000, else full",
    )
    cutoffs: tuple[int, ...] | None = option(
        None,
        "cluster borders of an adaptive softmax, in tokens by falling frequency",
        metavar="N",
        unset="2000 10000, as far as below half of the vocabulary",
    )
    division: int | None = count_option(
        None,
        "factor by which each cluster of an adaptive softmax is narrower than the one before",
        unset="4",
    )
    candidates: int | None = count_option(
        None,
        "approximate number of tokens in the sample of a sampled softmax",
        unset="a twelfth of the vocabulary, 1,200 to 2,500",
    )
    averaging: float = share_option(
        0.25, "last share of the run whose weights are averaged; 0: no averaging"
    )

    dropout_input: float | None = dropout_option("locked dropout of the embedded tokens")
    dropout_hidden: float | None = dropout_option("locked dropout between layers")
    dropout_output: float | None = dropout_option("locked dropout of the last layer")
    dropout_embedding: float | None = dropout_option("dropout of whole word types")
    dropout_weight: float | None = dropout_option("dropout of hidden-to-hidden weights")
    activation_penalty: float | None = option(
        None, "weight of the penalty on large states", metavar="X", unset="2; 0 for characters"
    )
    temporal_penalty: float | None = option(
        None, "weight of the penalty on fast changes", metavar="X", unset="1; 0 for characters"
    )

    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "number format of matrix products; auto: bfloat16 where the processor computes it"
    )
    storage: Literal["float32", "float16"] = storage_option()
    threads: int | None = threads_option()
    seed: int = seed_option()

    def __post_init__(self) -> None:
        check_values(self)
        if sum(budget is not None for budget in (self.minutes, self.epochs, self.steps)) > 1:
            raise RecipeError("--minutes, --epochs, --steps: give one of them")
        check_pace(self.pace, self.minutes)
        self._check_adaptive()

    def _check_adaptive(self) -> None:
        for name in ("cutoffs", "division"):
            if getattr(self, name) is not None and self.softmax != "adaptive":
                raise RecipeError(f"--{name}: belongs to --softmax adaptive")
        if self.softmax == "adaptive" and self.tokenizer == "bpe":
            raise RecipeError(
                "--softmax adaptive: needs tokens in the order of their frequency, which BPE does "
                "not give; use another --softmax, or --tokenizer word"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSize:
    """Numbers of predictions in one epoch and of tokens in the vocabulary."""

    tokens: int
    vocabulary: int


def complete_language_model(
    recipe: LanguageModelRecipe, size: CorpusSize, speed: float = DEFAULT_SPEED
) -> LanguageModelRecipe:
    """The recipe with defaults for all options that are None.

    Args:
        recipe: the options that were given.
        size: the size of the training data.
        speed: floating-point operations per second of training, which turn minutes into tokens.
    """
    recipe = _with_budget(recipe)
    recipe = _with_batch(recipe, size)
    recipe = _with_network(recipe, size, speed)
    recipe = _with_optimization(recipe)
    return _with_regularization(recipe, size, speed)


def needs_speed(recipe: LanguageModelRecipe) -> bool:
    """Whether the defaults of :func:`complete_language_model` depend on ``speed``."""
    has_defaults = any(getattr(recipe, name) is None for name in ("hidden", *WORD_DROPOUT))
    return has_defaults and recipe.epochs is None and recipe.steps is None


def _with_budget(recipe: LanguageModelRecipe) -> LanguageModelRecipe:
    if (recipe.minutes, recipe.epochs, recipe.steps) == (None, None, None):
        return replace(recipe, minutes=DEFAULT_MINUTES)
    return recipe


def _with_network(
    recipe: LanguageModelRecipe, size: CorpusSize, speed: float
) -> LanguageModelRecipe:
    """The largest hidden size for which the run reads enough tokens."""
    if recipe.hidden is not None:
        return _with_widths(recipe, size, recipe.hidden)
    chosen = _with_widths(recipe, size, HIDDEN_SIZES[0])
    for hidden in HIDDEN_SIZES[1:]:
        wider = _with_widths(recipe, size, hidden)
        if _tokens_read(wider, size, speed) < TOKENS_PER_WEIGHT * _recurrent_weights(wider):
            break
        chosen = wider
    return chosen


def _with_widths(recipe: LanguageModelRecipe, size: CorpusSize, hidden: int) -> LanguageModelRecipe:
    """Ties embedding and output layer by a projection where their sizes differ."""
    characters = recipe.tokenizer == "char"
    embedding = recipe.embedding or (64 if characters else min(hidden, 256))
    tied = recipe.tied if recipe.tied is not None else not characters
    projection = recipe.projection
    if projection is None and tied and embedding != hidden:
        projection = embedding
    large = size.vocabulary > LARGE_VOCABULARY
    fewest, most = CANDIDATES_RANGE
    sized = replace(
        recipe,
        layers=recipe.layers or 2,
        hidden=hidden,
        embedding=embedding,
        tied=tied,
        projection=projection or None,
        softmax=recipe.softmax or ("sampled" if large else "full"),
        candidates=recipe.candidates or min(most, max(fewest, size.vocabulary // 12)),
    )
    return _with_cutoffs(sized, size)


def _with_batch(recipe: LanguageModelRecipe, size: CorpusSize) -> LanguageModelRecipe:
    """Sixteen columns of words cost a tenth more per token than 32, and give better models."""
    characters = recipe.tokenizer == "char"
    columns = 32 if characters else 16
    return replace(
        recipe,
        batch=recipe.batch or max(1, min(columns, size.tokens // 64)),
        bptt=recipe.bptt or (128 if characters else 70),
    )


def _with_optimization(recipe: LanguageModelRecipe) -> LanguageModelRecipe:
    peak = 4e-3 if recipe.tokenizer == "char" else 6.5e-3
    peak *= (200 / max(recipe.hidden or 1, 100)) ** 0.5
    return replace(
        recipe,
        learning_rate=recipe.learning_rate or round(peak, 5),
        weight_decay=recipe.weight_decay if recipe.weight_decay is not None else 0.01,
    )


def _with_cutoffs(recipe: LanguageModelRecipe, size: CorpusSize) -> LanguageModelRecipe:
    """Narrower tails even where their weights could be tied (docs/experiments.md)."""
    if recipe.softmax != "adaptive":
        return recipe
    fitting = tuple(cut for cut in CUTOFFS if 2 * cut < size.vocabulary)
    if recipe.cutoffs is None and not fitting:
        raise RecipeError(
            f"--softmax adaptive: the vocabulary is small, {size.vocabulary} tokens; use --softmax "
            "full, or give --cutoffs"
        )
    return replace(recipe, cutoffs=recipe.cutoffs or fitting, division=recipe.division or DIVISION)


def _with_regularization(
    recipe: LanguageModelRecipe, size: CorpusSize, speed: float
) -> LanguageModelRecipe:
    """Regularization grows with the number of epochs."""
    strength = _strength(_tokens_read(recipe, size, speed) / size.tokens)
    characters = recipe.tokenizer == "char"
    chosen: dict[str, Any] = {
        name: round(strength * full, 3)
        for name, full in (CHARACTER_DROPOUT if characters else WORD_DROPOUT).items()
    }
    chosen["activation_penalty"] = 0.0 if characters else 2.0
    chosen["temporal_penalty"] = 0.0 if characters else 1.0
    missing = {name: value for name, value in chosen.items() if getattr(recipe, name) is None}
    return replace(recipe, **missing)


def _tokens_read(recipe: LanguageModelRecipe, size: CorpusSize, speed: float) -> float:
    """The approximate number of training tokens of the run, repetitions included."""
    if recipe.epochs is not None:
        return recipe.epochs * size.tokens
    if recipe.steps is not None:
        return float(recipe.steps * (recipe.batch or 1) * (recipe.bptt or 1))
    forward_and_backward = 6 * _multiplications(recipe, size.vocabulary)
    return 60.0 * (recipe.minutes or 0.0) * speed / forward_and_backward


def _multiplications(recipe: LanguageModelRecipe, vocabulary: int) -> float:
    """The number of multiplications in the forward pass of one token."""
    hidden, projection = recipe.hidden or 1, recipe.projection or 0
    words: float = vocabulary
    if recipe.softmax == "sampled":
        words = min(vocabulary, 1.2 * (recipe.candidates or 0))
    elif recipe.cutoffs:  # about a fifth of the tokens need a tail
        words = recipe.cutoffs[0] + 0.2 * vocabulary / (recipe.division or 1)
    return _recurrent_weights(recipe) + hidden * projection + words * (projection or hidden)


def _recurrent_weights(recipe: LanguageModelRecipe) -> int:
    hidden, embedding = recipe.hidden or 1, recipe.embedding or 1
    gates = {"lstm": 4, "gru": 3, "elman": 1}[recipe.cell]
    return gates * hidden * (embedding + hidden * (2 * (recipe.layers or 1) - 1))


def _strength(epochs: float) -> float:
    """0 up to four epochs, 0.7 for ten, 1 for forty; linear, then logarithmic."""
    if epochs <= 10.0:
        return max(0.0, 0.7 * (epochs - 4.0) / 6.0)
    return min(1.0, 0.7 + 0.3 * math.log(epochs / 10.0, 4.0))
