"""How well a language model artifact predicts documents, in the units that people compare.

Every token and the [END] of every document is predicted from all that stands before it in its
document. Perplexity depends on what a token is; per word, bits per character and bits per byte do
not, so that models with different tokenizers can be compared, as long as no [UNK] is among the
tokens: of an unknown word only the fact is predicted, not its spelling. Where many are unknown,
these figures would mean nothing and are left out. Knows no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from training.data.corpus import unknown_share
from training.data.token_stream import Stream, build_stream
from training.data.unknown_words import TOLD_SHARE
from training.evaluation.perplexity import (
    LARGEST_LOSS,
    Likelihood,
    split_into_columns,
    token_losses,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSize:
    """How much text there is; words are what stands between white space."""

    documents: int
    words: int
    characters: int
    bytes: int


def text_size(documents: Sequence[str]) -> TextSize:
    """Counts documents, words, characters and UTF-8 bytes."""
    return TextSize(
        documents=len(documents),
        words=sum(len(text.split()) for text in documents),
        characters=sum(map(len, documents)),
        bytes=sum(len(text.encode()) for text in documents),
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures by name, and what they are made of: -log p of every prediction of the stream."""

    figures: dict[str, float]
    stream: Stream
    losses_N: Tensor


def evaluate_language_model(
    network: LanguageModel,
    tokenizer: Tokenizer,
    documents: Sequence[str],
    *,
    lanes: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Measured:
    """Reads all documents; computed in float32.

    Args:
        network: in evaluation mode or not; it is left as it was.
        tokenizer: that of the network.
        documents: at least one, none empty.
        lanes: how many parts of the text are read at once; 1 is exact, more are faster. By default
            chosen so that every part has a run-in before what counts.
        on_progress: told the share that is read, now and then.
    """
    stream = build_stream(documents, tokenizer)
    size = text_size(documents)
    losses_N = token_losses(
        network, split_into_columns(stream, lanes=lanes), "float32", on_progress=on_progress
    )
    found = Likelihood(float(losses_N.sum(dtype=torch.float64)), len(losses_N))
    unknown = unknown_share(stream, tokenizer)
    figures = {
        "loss": found.loss,
        "perplexity": found.perplexity,
        **({} if unknown > TOLD_SHARE else _spelling_figures(found, size)),
        "unknown_share": unknown,
        "documents": size.documents,
        "tokens": found.count,
        "words": size.words,
        "characters": size.characters,
        "bytes": size.bytes,
    }
    return Measured(figures, stream, losses_N)


def _spelling_figures(found: Likelihood, size: TextSize) -> dict[str, float]:
    """What the text costs for each word, character and byte."""
    bits = found.nats / math.log(2)
    return {
        "word_perplexity": math.exp(min(LARGEST_LOSS, found.nats / max(1, size.words))),
        "bits_per_character": bits / size.characters,
        "bits_per_byte": bits / size.bytes,
    }
