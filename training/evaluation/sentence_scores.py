"""How likely a language model finds sentences, many at a time, and the form they are read in.

A sentence stands somewhere: it is read after a text that ends a sentence, begins with a capital
letter and may end in a full stop, all of which are options, since test sentences often come bare.
What is read before a sentence is not part of its probability. Shapes: T time, B rows, N
predictions. Knows no files and no grammar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from training.data.batching import padded_width, sorted_batches
from training.evaluation.perplexity import prediction_losses

BATCH_TOKENS = 4096
MARKS = (".", "?", "!")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceForm:
    """What is done to a sentence before it is read.

    ``apart``: words and marks have a space before them, as in texts that are tokenized already.
    """

    before: str
    capitalize: bool
    full_stop: bool
    apart: bool = False

    def of(self, sentence: str) -> str:
        """The sentence itself, without what stands before it."""
        sentence = sentence.strip()
        if self.capitalize:
            sentence = sentence[:1].upper() + sentence[1:]
        if self.full_stop and not sentence.endswith(MARKS):
            sentence += "."
        if self.apart and sentence.endswith(MARKS):
            sentence = f"{sentence[:-1].rstrip()} {sentence[-1]}"
        return sentence

    def placed(self, sentence: str) -> str:
        """The sentence after what stands before it."""
        if not self.before:
            return self.of(sentence)
        gap = "" if self.before[-1].isspace() else " "
        return f"{self.lead}{gap}{self.of(sentence)}"

    @property
    def lead(self) -> str:
        """What stands before, as it is read."""
        return f" {self.before.lstrip(' ')}" if self.apart and self.before else self.before


def stands_apart(tokenizer: Tokenizer) -> bool:
    """Whether words are what stands between spaces, so that marks must stand apart."""
    return tokenizer.kind == "word" and len(tokenizer.encode("a.")) == 1


@dataclass(frozen=True, slots=True)
class Continuation:
    """Tokens of which those from ``start`` on are to be scored, given all before them."""

    tokens: Sequence[int]
    start: int


def unknown_words(
    tokens: Sequence[int], text: str, tokenizer: Tokenizer, *, skip: int = 0
) -> list[str]:
    """The words of ``text``, whose tokens are given, that are unknown; ``skip`` the first few."""
    if tokenizer.unknown is None or tokenizer.unknown not in tokens[skip:]:
        return []
    pieces = tokenizer.pieces(text)[skip:]
    return [piece.text.strip() for piece in pieces if piece.id == tokenizer.unknown]


@torch.no_grad()
def log_probabilities(
    network: LanguageModel,
    continuations: Sequence[Continuation],
    end: int,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> list[float]:
    """The log-probability of each continuation, in nats and float32; [END] (``end``) opens each.

    Rows of similar length are read together; what pads the shorter ones comes after them, where
    it has no influence. The network is to be in evaluation mode.
    """
    lengths = [len(continuation.tokens) for continuation in continuations]
    found, read = [0.0] * len(continuations), 0
    for indices in sorted_batches(lengths, budget=BATCH_TOKENS):
        rows = [continuations[index] for index in indices]
        for index, value in zip(indices, _batch(network, rows, end), strict=True):
            found[index] = value
        read += len(indices)
        if on_progress is not None:
            on_progress(read / len(continuations))
    return found


def _batch(network: LanguageModel, rows: Sequence[Continuation], end: int) -> list[float]:
    width = padded_width(max(len(row.tokens) for row in rows))
    tokens_TB = torch.full((width + 1, len(rows)), end)
    counted_TB = torch.zeros(width, len(rows), dtype=torch.bool)
    for place, row in enumerate(rows):
        tokens_TB[1 : len(row.tokens) + 1, place] = torch.tensor(row.tokens)
        counted_TB[row.start : len(row.tokens), place] = True
    encoded = network.encode(tokens_TB[:-1], network.initial_state(len(rows)))
    losses_N = prediction_losses(network, encoded.raw_TBH[counted_TB], tokens_TB[1:][counted_TB])
    sums_B = torch.zeros(len(rows), dtype=torch.float64)
    rows_N: Tensor = counted_TB.nonzero()[:, 1]
    sums_B.index_add_(0, rows_N, losses_N.double())
    return (-sums_B).tolist()
