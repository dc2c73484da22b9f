"""Defaults of ``python -m training lm`` that depend on data and time budget.

They were tuned on two CPU cores: the more time for each token, the wider the network and the
stronger the dropout. docs/experiments.md has the measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from training.config.language_model import LanguageModelRecipe
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
        if expected_tokens(wider, size, speed) < TOKENS_PER_WEIGHT * _recurrent_weights(wider):
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
        cell=recipe.cell or "lstm",
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
    if recipe.from_ is not None:
        peak *= 0.5
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
    strength = _strength(expected_tokens(recipe, size, speed) / size.tokens)
    characters = recipe.tokenizer == "char"
    chosen: dict[str, Any] = {
        name: round(strength * full, 3)
        for name, full in (CHARACTER_DROPOUT if characters else WORD_DROPOUT).items()
    }
    chosen["activation_penalty"] = 0.0 if characters else 2.0
    chosen["temporal_penalty"] = 0.0 if characters else 1.0
    missing = {name: value for name, value in chosen.items() if getattr(recipe, name) is None}
    return replace(recipe, **missing)


def expected_tokens(recipe: LanguageModelRecipe, size: CorpusSize, speed: float) -> float:
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
    gates = {"lstm": 4, "gru": 3, "elman": 1}[recipe.cell or "lstm"]
    return gates * hidden * (embedding + hidden * (2 * (recipe.layers or 1) - 1))


def _strength(epochs: float) -> float:
    """0 up to four epochs, 0.7 for ten, 1 for forty; linear, then logarithmic."""
    if epochs <= 10.0:
        return max(0.0, 0.7 * (epochs - 4.0) / 6.0)
    return min(1.0, 0.7 + 0.3 * math.log(epochs / 10.0, 4.0))
