"""Makes an untrained artifact of any size, for measuring the speed of that size.

The weights are random and the words made up: it says nothing sensible, at the speed of one that
would. So that this holds of an adaptive softmax, too, its tails get as much of the probability as
rare words have in English text. Knows nothing of servers.
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
_SPECIAL_TOKENS = 2  # [UNK] and [END] are counted in a vocabulary
_TAILS_SHARE = 0.23  # of the words of WikiText-2 are not among the 2,000 most frequent ones
_NEVER = -100.0  # nats on the logit of [END], so that a text goes on as long as is asked for


def made_up_words() -> Iterator[str]:
    """Endless distinct words of one, two, three, ... syllables: ba, be, ..., baba, babe, ..."""
    for syllables in itertools.count(1):
        for parts in itertools.product(_SYLLABLES, repeat=syllables):
            yield "".join(parts)


def made_up_tokenizer(vocabulary: int) -> Tokenizer:
    """A word tokenizer of exactly this many tokens, each word with the space before it."""
    words = itertools.islice(made_up_words(), vocabulary - _SPECIAL_TOKENS)
    return train_word_tokenizer((f" {word}" for word in words), vocabulary=vocabulary)


def prompt_of(words: int) -> str:
    """A prompt of so many words that every such vocabulary holds (70 or fewer)."""
    return " " + " ".join(itertools.islice(made_up_words(), words))


def untrained(architecture: LanguageModelArchitecture, *, seed: int = 0) -> LanguageModel:
    """A network with the random weights that training begins with."""
    torch.manual_seed(seed)
    network = LanguageModel(architecture).eval()
    if isinstance(network.output, AdaptiveOutput):
        words, tails = architecture.cutoffs[0] + 1, len(architecture.cutoffs)
        odds = _TAILS_SHARE / (1.0 - _TAILS_SHARE)
        network.output.entries.bias.detach().fill_(math.log(odds * words / tails))
    return network


def save_untrained(
    directory: Path, architecture: LanguageModelArchitecture, *, seed: int = 0
) -> None:
    """Writes the artifact, named after its directory. Its texts never end by themselves."""
    tokenizer = made_up_tokenizer(architecture.vocabulary)
    network = untrained(architecture, seed=seed)
    network.output.bias.detach()[tokenizer.end] = _NEVER
    save_artifact(
        directory,
        network=network,
        tokenizer=tokenizer,
        name=directory.name,
        provenance={"data": "none", "recipe": "untrained, for measuring speed", "seed": seed},
        metrics={},
    )
