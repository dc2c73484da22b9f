"""Untrained artifacts of any size, which have the speed of trained ones of that size.

The weights are random and the words synthetic. The tails of an adaptive softmax get the probability
of rare words in English text, since its speed depends on that.
"""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import torch

from model.architecture import LanguageModelArchitecture
from model.artifact import save_artifact
from model.networks import LanguageModel
from model.output_layer import AdaptiveOutput
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import train_word_tokenizer

_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
_SPECIAL_TOKENS = 2  # [UNK] and [END]
_TAIL_PROBABILITY = 0.23  # share of the words of WikiText-2 beyond the 2,000 most frequent ones
_END_LOGIT = -100.0  # a generated text never ends before its maximum length


def synthetic_words() -> Iterator[str]:
    """Yields distinct words of one, two, ... syllables without end: ba, be, ..., baba, babe, ..."""
    for syllables in itertools.count(1):
        for parts in itertools.product(_SYLLABLES, repeat=syllables):
            yield "".join(parts)


def synthetic_tokenizer(vocabulary: int) -> Tokenizer:
    """A word tokenizer of ``vocabulary`` tokens; each word includes the space before it."""
    words = itertools.islice(synthetic_words(), vocabulary - _SPECIAL_TOKENS)
    return train_word_tokenizer((f" {word}" for word in words), vocabulary=vocabulary)


def synthetic_prompt(words: int) -> str:
    """A prompt of at most 70 words, which every synthetic vocabulary contains."""
    return " " + " ".join(itertools.islice(synthetic_words(), words))


def untrained_network(architecture: LanguageModelArchitecture, *, seed: int = 0) -> LanguageModel:
    """A network with random initial weights, in evaluation mode."""
    torch.manual_seed(seed)
    network = LanguageModel(architecture).eval()
    if isinstance(network.output, AdaptiveOutput):
        words, tails = architecture.cutoffs[0] + 1, len(architecture.cutoffs)
        odds = _TAIL_PROBABILITY / (1.0 - _TAIL_PROBABILITY)
        network.output.entries.bias.detach().fill_(math.log(odds * words / tails))
    return network


def save_untrained_artifact(
    directory: Path, architecture: LanguageModelArchitecture, *, seed: int = 0
) -> None:
    """Writes an untrained artifact, named after its directory, which never generates [END]."""
    tokenizer = synthetic_tokenizer(architecture.vocabulary)
    network = untrained_network(architecture, seed=seed)
    network.output.bias.detach()[tokenizer.end] = _END_LOGIT
    save_artifact(
        directory,
        network=network,
        tokenizer=tokenizer,
        name=directory.name,
        provenance={"data": "none", "recipe": "untrained, for measuring speed", "seed": seed},
        metrics={},
    )
