"""A small network on the synthetic corpus, and excerpts of the corpus."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from model.architecture import LanguageModelArchitecture
from model.networks import LanguageModel
from model.tokenization.tokenizer_training import train_word_tokenizer
from training.analysis.corpus import synthetic_text
from training.analysis.excerpts import Excerpts, ExcerptSource
from training.data.token_stream import build_stream

TEXT = synthetic_text(2000, seed=1)
WORDS = train_word_tokenizer([TEXT], vocabulary=None, pretokenized=True)


def network(cell: str = "lstm", scale: float = 0.5) -> LanguageModel:
    """A language model of two layers over the words of the corpus."""
    torch.manual_seed(1)
    model = LanguageModel(
        LanguageModelArchitecture(
            cell=cell,  # type: ignore[arg-type]
            vocabulary=WORDS.size,
            embedding=6,
            hidden=8,
            layers=2,
        )
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=scale)
    return model


def source(length: int = 16) -> ExcerptSource:
    """Draws excerpts of the corpus."""
    return ExcerptSource(build_stream([TEXT], WORDS), length=length, named="x", options="--length")


def draw(length: int = 16, rows: int = 8, seed: int = 1) -> Excerpts:
    """Excerpts of the corpus."""
    return source(length).draw(rows, np.random.default_rng(seed))
