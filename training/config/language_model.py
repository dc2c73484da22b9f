"""The options of ``python -m training lm``, and what it chooses where none is given.

The choices are fitted to two CPU cores: the more time there is for each token, the wider the
network and the stronger the dropout. What was tried stands in docs/experiments.md. Knows no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from training.config.options import check_values, option
from training.config.time_budget import HELP as PACE_HELP
from training.config.time_budget import check_pace
from training.errors import RecipeError

# Shares that are dropped when the data is read forty times (after Merity et al., 2018).
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
USUAL_SPEED = 1e11  # additions and multiplications in a second of training, where none is measured
WIDTHS = (128, 200, 256, 320, 400, 512, 650, 800)
TOKENS_PER_WEIGHT = 4.0  # read in a run, for each recurrent weight, make a width worth it
LARGE = 5_000  # tokens of a vocabulary, more than that, ask for a sampled softmax
CANDIDATES = (1_200, 2_500)  # at least and at most, of a twelfth of the vocabulary
CUTOFFS = (2_000, 10_000)  # of an adaptive softmax, those that are under half of the vocabulary
DIVISION = 4
EXAMPLE_MINUTES = 10.0  # when no budget is given


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelRecipe:
    """Options of a run; None means that the run chooses."""

    train: tuple[str, ...] = option(
        (), "text, .jsonl, .csv or .tsv files (also compressed), or hf:NAME[:SPLIT]"
    )
    valid: tuple[str, ...] = option(
        (), "validation files; without them a share of --train is held out"
    )
    holdout: float = option(0.05, "the share of the text that is held out where --valid is missing")
    unit: Literal["file", "paragraph", "line"] = option("file", "what a document is in a text file")
    column: str | None = option(
        None, "the column that holds the text of records, by name or by number from 1"
    )
    header: bool | None = option(
        None, "whether the first row of .csv and .tsv files names the columns (as it looks)"
    )
    name: str | None = option(None, "the model's name; the name of --out if not given")
    description: str | None = option(None, "a sentence or two for the model card", fixed=False)
    licence: str | None = option(None, "of the data and so of the model, for its card", fixed=False)

    token_cache: str | None = option(
        None, "keep the tokenized text there, for other runs, too", metavar="DIR", fixed=False
    )

    tokenizer: Literal["word", "char", "bpe"] = option("word", "what a token is")
    vocabulary: int | None = option(None, "how many tokens there are at most", metavar="N")
    minimum_count: int | None = option(
        None, "leave out words or characters seen less often", metavar="N"
    )
    pretokenized: bool | None = option(None, "words are what stands between spaces, as in WikiText")

    cell: Literal["lstm", "gru", "elman"] = option("lstm", "the recurrent cell")
    layers: int | None = option(None, "recurrent layers", metavar="N")
    hidden: int | None = option(None, "width of a hidden state", metavar="N")
    embedding: int | None = option(None, "width of a token's vector", metavar="N")
    projection: int | None = option(
        None, "width of a layer between hidden state and output; 0: none", metavar="N"
    )
    tied: bool | None = option(None, "share the embedding's weights with the output layer")
    vectors: str | None = option(
        None, "word2vec, fastText or GloVe text file to begin the embedding from", metavar="FILE"
    )
    freeze_embeddings: bool = option(False, "leave the embedding as it begins")

    minutes: float | None = option(None, "how long the whole command may take", metavar="N")
    epochs: float | None = option(
        None, "train for so many passes over the data instead", metavar="N"
    )
    steps: int | None = option(None, "train for so many steps instead", metavar="N")
    pace: tuple[int, ...] | None = option(
        None, PACE_HELP, metavar="N", follows=("minutes", "epochs", "steps")
    )
    patience: int = option(
        8, "stop after so many evaluations without a better one; 0: never", metavar="N"
    )
    evaluations: int = option(16, "how many times the run is evaluated", metavar="N")
    evaluation_tokens: int | None = option(
        None, "tokens that each of these evaluations reads, about", metavar="N"
    )
    checkpoint_seconds: float = option(60.0, "how often the run is saved", metavar="N", fixed=False)

    batch: int | None = option(None, "lanes that are read side by side", metavar="N")
    bptt: int | None = option(None, "steps through which gradients flow back", metavar="N")
    restart: float = option(0.02, "chance of a lane to begin a window from the first state")
    learning_rate: float | None = option(
        None, "the highest learning rate of the cycle", metavar="X"
    )
    warm_up: float = option(0.12, "the share of the run in which the learning rate rises")
    weight_decay: float | None = option(None, "AdamW's decay", metavar="X")
    clip_norm: float = option(0.25, "gradients are scaled down to this norm; 0: not")
    clip_value: float = option(0.0, "each gradient is cut off at this size; 0: not")
    softmax: Literal["full", "sampled", "adaptive"] | None = option(
        None, "over all tokens; an estimate from a sample; or frequent tokens apart from rare ones"
    )
    cutoffs: tuple[int, ...] | None = option(
        None, "the most frequent tokens at each border of an adaptive softmax", metavar="N"
    )
    division: int | None = option(
        None, "how much narrower rarer tokens' weights of an adaptive softmax are", metavar="N"
    )
    candidates: int | None = option(
        None, "tokens in the sample of a sampled softmax, about", metavar="N"
    )
    averaging: float = option(0.25, "the last share of the run whose weights are averaged; 0: none")

    dropout_input: float | None = option(None, "locked dropout of the embedded tokens", metavar="P")
    dropout_hidden: float | None = option(None, "locked dropout between layers", metavar="P")
    dropout_output: float | None = option(None, "locked dropout of the last layer", metavar="P")
    dropout_embedding: float | None = option(None, "dropout of whole word types", metavar="P")
    dropout_weight: float | None = option(None, "dropout of hidden-to-hidden weights", metavar="P")
    activation_penalty: float | None = option(
        None, "weight of the penalty on large states", metavar="X"
    )
    temporal_penalty: float | None = option(
        None, "weight of the penalty on fast changes", metavar="X"
    )

    precision: Literal["auto", "float32", "bfloat16"] = option(
        "auto", "number format of the products; auto: bfloat16 where the processor computes in it"
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
        for name in ("holdout", "restart", "warm_up", "averaging", *DROPOUTS):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < 1.0:
                raise RecipeError(f"{_flag(name)}: expected from 0 up to but not 1, got {value}")
        for name in (*SIZES, *AMOUNTS):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RecipeError(f"{_flag(name)}: expected more than 0, got {value}")
        for name in ("clip_norm", "clip_value", "patience", "seed", "projection", "weight_decay"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise RecipeError(f"{_flag(name)}: expected 0 or more, got {value}")
        if sum(x is not None for x in (self.minutes, self.epochs, self.steps)) > 1:
            raise RecipeError("--minutes, --epochs, --steps: give one of them")
        check_pace(self.pace, self.minutes)
        self._check_adaptive()

    def _check_adaptive(self) -> None:
        for name in ("cutoffs", "division"):
            if getattr(self, name) is not None and self.softmax != "adaptive":
                raise RecipeError(f"{_flag(name)}: belongs to --softmax adaptive")
        if self.softmax == "adaptive" and self.tokenizer == "bpe":
            raise RecipeError(
                "--softmax adaptive: cuts where tokens get rare, but bpe does not number them by "
                "how frequent they are; use another --softmax, or --tokenizer word"
            )


DROPOUTS = (
    "dropout_input",
    "dropout_hidden",
    "dropout_output",
    "dropout_embedding",
    "dropout_weight",
)
SIZES = (
    "vocabulary",
    "minimum_count",
    "layers",
    "hidden",
    "embedding",
    "batch",
    "bptt",
    "threads",
    "division",
)
AMOUNTS = (
    "minutes",
    "epochs",
    "steps",
    "learning_rate",
    "evaluations",
    "evaluation_tokens",
    "candidates",
    "checkpoint_seconds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusSize:
    """What the choices depend on: predictions in one pass, and the tokenizer's vocabulary."""

    tokens: int
    vocabulary: int


def complete(
    recipe: LanguageModelRecipe, size: CorpusSize, speed: float = USUAL_SPEED
) -> LanguageModelRecipe:
    """The recipe with a value in the place of every None.

    ``speed``: additions and multiplications in a second of training; a budget of minutes needs it.
    """
    recipe = _with_budget(recipe)
    recipe = _with_windows(recipe, size)
    recipe = _with_network(recipe, size, speed)
    recipe = _with_optimization(recipe)
    return _with_regularization(recipe, size, speed)


def needs_speed(recipe: LanguageModelRecipe) -> bool:
    """Whether :func:`complete` chooses by how fast the machine trains."""
    open_choices = any(getattr(recipe, name) is None for name in ("hidden", *DROPOUTS))
    return open_choices and recipe.epochs is None and recipe.steps is None


def _with_budget(recipe: LanguageModelRecipe) -> LanguageModelRecipe:
    if (recipe.minutes, recipe.epochs, recipe.steps) == (None, None, None):
        return replace(recipe, minutes=EXAMPLE_MINUTES)
    return recipe


def _with_network(
    recipe: LanguageModelRecipe, size: CorpusSize, speed: float
) -> LanguageModelRecipe:
    """As wide as the run reads enough tokens for."""
    if recipe.hidden is not None:
        return _with_widths(recipe, size, recipe.hidden)
    chosen = _with_widths(recipe, size, WIDTHS[0])
    for hidden in WIDTHS[1:]:
        wider = _with_widths(recipe, size, hidden)
        if _tokens_read(wider, size, speed) < TOKENS_PER_WEIGHT * _recurrent_weights(wider):
            break
        chosen = wider
    return chosen


def _with_widths(recipe: LanguageModelRecipe, size: CorpusSize, hidden: int) -> LanguageModelRecipe:
    """Tied by a projection to the embedding's width where that is needed."""
    characters = recipe.tokenizer == "char"
    embedding = recipe.embedding or (64 if characters else min(hidden, 256))
    tied = recipe.tied if recipe.tied is not None else not characters
    projection = recipe.projection
    if projection is None and tied and embedding != hidden:
        projection = embedding
    large = size.vocabulary > LARGE
    fewest, most = CANDIDATES
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


def _with_windows(recipe: LanguageModelRecipe, size: CorpusSize) -> LanguageModelRecipe:
    """Sixteen lanes of words cost a tenth more for each token than 32, and are worth it."""
    characters = recipe.tokenizer == "char"
    lanes = 32 if characters else 16
    return replace(
        recipe,
        batch=recipe.batch or max(1, min(lanes, size.tokens // 64)),
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
    """A head of the most frequent words, and tails that are narrower even where they could be tied.

    Measured: docs/experiments.md.
    """
    if recipe.softmax != "adaptive":
        return recipe
    fitting = tuple(cut for cut in CUTOFFS if 2 * cut < size.vocabulary)
    if recipe.cutoffs is None and not fitting:
        raise RecipeError(
            f"--softmax adaptive: is for large vocabularies, and this one has {size.vocabulary} "
            "tokens; use --softmax full, or say where to cut with --cutoffs"
        )
    return replace(recipe, cutoffs=recipe.cutoffs or fitting, division=recipe.division or DIVISION)


def _with_regularization(
    recipe: LanguageModelRecipe, size: CorpusSize, speed: float
) -> LanguageModelRecipe:
    """The more often the data will be read, the stronger."""
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
    """How many tokens the run will train on, about; with repetitions."""
    if recipe.epochs is not None:
        return recipe.epochs * size.tokens
    if recipe.steps is not None:
        return float(recipe.steps * (recipe.batch or 1) * (recipe.bptt or 1))
    forward_and_backward = 6 * _multiplications(recipe, size.vocabulary)
    return 60.0 * (recipe.minutes or 0.0) * speed / forward_and_backward


def _multiplications(recipe: LanguageModelRecipe, vocabulary: int) -> float:
    """Of one token on its way through the network."""
    hidden, projection = recipe.hidden or 1, recipe.projection or 0
    words: float = vocabulary
    if recipe.softmax == "sampled":
        words = min(vocabulary, 1.2 * (recipe.candidates or 0))
    elif recipe.cutoffs:  # a fifth of the tokens, about, ask for a tail
        words = recipe.cutoffs[0] + 0.2 * vocabulary / (recipe.division or 1)
    return _recurrent_weights(recipe) + hidden * projection + words * (projection or hidden)


def _recurrent_weights(recipe: LanguageModelRecipe) -> int:
    hidden, embedding = recipe.hidden or 1, recipe.embedding or 1
    gates = {"lstm": 4, "gru": 3, "elman": 1}[recipe.cell]
    return gates * hidden * (embedding + hidden * (2 * (recipe.layers or 1) - 1))


def _strength(passes: float) -> float:
    """0 up to four passes, 0.7 for ten, 1 for forty; linear, then logarithmic."""
    if passes <= 10.0:
        return max(0.0, 0.7 * (passes - 4.0) / 6.0)
    return min(1.0, 0.7 + 0.3 * math.log(passes / 10.0, 4.0))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
