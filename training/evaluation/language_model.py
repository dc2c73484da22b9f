"""Evaluation of a language model on documents, and its results.

Every token and the [END] of every document are predicted from all preceding tokens of the document.
Perplexity depends on the tokenizer. Word perplexity, bits per character and bits per byte do not,
so they compare models with different tokenizers, unless the text has unknown words: of [UNK] the
spelling is not predicted. If too many tokens are [UNK], these three metrics are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from training.data.corpus import unknown_share_of_stream
from training.data.token_stream import build_stream
from training.data.unknown_words import WARNING_SHARE
from training.evaluation.perplexity import (
    LARGEST_LOSS,
    Likelihood,
    split_into_columns,
    token_losses,
)
from training.evaluation.token_losses import FrequencyBins, LossBin, by_frequency, by_position
from training.runs.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSize:
    """Number of documents, words (separated by white space), lines, characters and UTF-8 bytes."""

    documents: int
    words: int
    lines: int
    characters: int
    bytes: int


def text_size(documents: Sequence[str]) -> TextSize:
    """Counts the documents and their content."""
    return TextSize(
        documents=len(documents),
        words=count_words(documents),
        lines=sum(text.count("\n") + (not text.endswith("\n")) for text in documents),
        characters=sum(map(len, documents)),
        bytes=sum(len(text.encode()) for text in documents),
    )


def count_words(texts: Iterable[str]) -> int:
    """The number of words between white space in texts that are not divided inside a word."""
    return sum(len(text.split()) for text in texts)


@dataclass(frozen=True, slots=True)
class LanguageModelResults:
    """Results of one language model.

    Attributes:
        metrics: by name.
        frequency: losses by token frequency.
        position: losses by position in the document.
        history: of the training run, if its log exists.
    """

    metrics: dict[str, float]
    frequency: FrequencyBins
    position: list[LossBin]
    history: History | None

    def details(self) -> dict[str, Any]:
        """All results but the metrics, as values for JSON."""
        history = {} if self.history is None else {"training_curves": self.history.record()}
        return {
            "by_frequency": asdict(self.frequency),
            "by_position": [asdict(bin_) for bin_ in self.position],
            **history,
        }


def evaluate_language_model(
    network: LanguageModel,
    tokenizer: Tokenizer,
    documents: Sequence[str],
    *,
    columns: int | None = None,
    history: History | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> LanguageModelResults:
    """Evaluates a network in float32.

    Args:
        network: in any mode; the mode is restored afterwards.
        tokenizer: that of the network.
        documents: at least one, none empty.
        columns: number of columns that are read in parallel; 1 is exact, more are faster. By
            default few enough that each column is long compared with its burn-in.
        history: becomes a part of the results.
        on_progress: called with the share that has been read.
    """
    stream = build_stream(documents, tokenizer)
    size = text_size(documents)
    losses_N = token_losses(
        network, split_into_columns(stream, columns=columns), "float32", on_progress=on_progress
    )
    likelihood = Likelihood(float(losses_N.sum(dtype=torch.float64)), len(losses_N))
    unknown = unknown_share_of_stream(stream, tokenizer)
    metrics = {
        "loss": likelihood.loss,
        "perplexity": likelihood.perplexity,
        **({} if unknown > WARNING_SHARE else _tokenizer_independent_metrics(likelihood, size)),
        "unknown_share": unknown,
        "documents": size.documents,
        "tokens": likelihood.count,
        "words": size.words,
        "characters": size.characters,
        "bytes": size.bytes,
    }
    losses = losses_N.numpy().astype(np.float64)
    return LanguageModelResults(
        metrics, by_frequency(stream, losses, tokenizer), by_position(stream, losses), history
    )


def _tokenizer_independent_metrics(likelihood: Likelihood, size: TextSize) -> dict[str, float]:
    """The loss per word, character and byte."""
    bits = likelihood.nats / math.log(2)
    return {
        "word_perplexity": _per(likelihood, size.words),
        "word_and_line_perplexity": _per(likelihood, size.words + size.lines),
        "bits_per_character": bits / size.characters,
        "bits_per_byte": bits / size.bytes,
    }


def _per(likelihood: Likelihood, count: int) -> float:
    """The perplexity per one of ``count`` parts of the text, bounded so that it is finite."""
    return math.exp(min(LARGEST_LOSS, likelihood.nats / max(1, count)))
