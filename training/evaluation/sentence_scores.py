"""Log-probabilities of sentences under a language model, in batches, and the form they are read in.

Test sentences often come without context, capital letter or full stop. ``SentenceForm`` adds these
before a sentence is read. The context is not part of the sentence's probability. Shapes: T time
steps, B sentences, N predictions.
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

SCORING_BATCH_TOKENS = 4096
SENTENCE_ENDS = (".", "?", "!")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceForm:
    """The form in which a sentence is read.

    Attributes:
        before: text that is read before the sentence; may be empty.
        capitalize: whether the first letter becomes a capital.
        full_stop: whether a full stop is added where the sentence has no end mark.
        pretokenized: whether the end mark is separated by a space, as in tokenized text.

    >>> form = SentenceForm(before=".", capitalize=True, full_stop=True)
    >>> form.in_context("the dog barks")
    '. The dog barks.'
    """

    before: str
    capitalize: bool
    full_stop: bool
    pretokenized: bool = False

    def apply(self, sentence: str) -> str:
        """The sentence without its context."""
        sentence = sentence.strip()
        if self.capitalize:
            sentence = sentence[:1].upper() + sentence[1:]
        if self.full_stop and not sentence.endswith(SENTENCE_ENDS):
            sentence += "."
        if self.pretokenized and sentence.endswith(SENTENCE_ENDS):
            sentence = f"{sentence[:-1].rstrip()} {sentence[-1]}"
        return sentence

    def in_context(self, sentence: str) -> str:
        """The sentence after its context."""
        if not self.before:
            return self.apply(sentence)
        gap = "" if self.before[-1].isspace() else " "
        return f"{self.context}{gap}{self.apply(sentence)}"

    @property
    def context(self) -> str:
        """``before`` as it is read."""
        if self.pretokenized and self.before:
            return f" {self.before.lstrip(' ')}"
        return self.before


def is_pretokenized(tokenizer: Tokenizer) -> bool:
    """Whether the vocabulary is of text with spaces between words and punctuation."""
    return tokenizer.kind == "word" and len(tokenizer.encode("a.")) == 1


@dataclass(frozen=True, slots=True)
class Continuation:
    """Tokens; those from index ``start`` on are scored, given all preceding ones."""

    tokens: Sequence[int]
    start: int


def unknown_words(
    tokens: Sequence[int], text: str, tokenizer: Tokenizer, *, skip: int = 0
) -> list[str]:
    """The words of ``text`` that are not in the vocabulary.

    Args:
        tokens: the encoded text.
        text: the text.
        tokenizer: that of the tokens.
        skip: number of tokens at the beginning to ignore.
    """
    if tokenizer.unknown is None or tokenizer.unknown not in tokens[skip:]:
        return []
    pieces = tokenizer.pieces(text)[skip:]
    return [piece.text.strip() for piece in pieces if piece.id == tokenizer.unknown]


@torch.no_grad()
def score_continuations(
    network: LanguageModel,
    continuations: Sequence[Continuation],
    end: int,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> list[float]:
    """The log-probability of each continuation in nats, computed in float32.

    Args:
        network: in evaluation mode.
        continuations: of any length; those of similar length are batched. Padding follows the
            tokens, so it does not change a score.
        end: the id of [END], which is read before each continuation.
        on_progress: called with the share that has been read.
    """
    lengths = [len(continuation.tokens) for continuation in continuations]
    scores, done = [0.0] * len(continuations), 0
    for indices in sorted_batches(lengths, budget=SCORING_BATCH_TOKENS):
        batch = [continuations[index] for index in indices]
        for index, score in zip(indices, _score_batch(network, batch, end), strict=True):
            scores[index] = score
        done += len(indices)
        if on_progress is not None:
            on_progress(done / len(continuations))
    return scores


def _score_batch(network: LanguageModel, batch: Sequence[Continuation], end: int) -> list[float]:
    width = padded_width(max(len(continuation.tokens) for continuation in batch))
    tokens_TB = torch.full((width + 1, len(batch)), end)
    counted_TB = torch.zeros(width, len(batch), dtype=torch.bool)
    for index, continuation in enumerate(batch):
        length = len(continuation.tokens)
        tokens_TB[1 : length + 1, index] = torch.tensor(continuation.tokens)
        counted_TB[continuation.start : length, index] = True
    encoded = network.encode(tokens_TB[:-1], network.initial_state(len(batch)))
    losses_N = prediction_losses(network, encoded.raw_TBH[counted_TB], tokens_TB[1:][counted_TB])
    sums_B = torch.zeros(len(batch), dtype=torch.float64)
    sentences_N: Tensor = counted_TB.nonzero()[:, 1]
    sums_B.index_add_(0, sentences_N, losses_N.double())
    return (-sums_B).tolist()
