"""The text of `gradients`: files, or a synthetic corpus with a long-range dependency.

Small networks are trained on one part of the text and analyzed on another. The synthetic corpus
consists of speeches like

    anna says the old dog sees the king and the cat likes anna , says anna .

The speaker is named at the beginning and at the end of a speech and sometimes in between; nothing
else determines the name. So a network has to remember one of six names over 4 to 40 words. All
other words depend on the last few words alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import train_char_tokenizer, train_word_tokenizer
from training.analysis.excerpts import ExcerptSource
from training.config.gradients import GradientRecipe
from training.data.token_stream import TokenStream, build_stream, split_lines
from training.data.validation_split import split_documents
from training.readers.documents import read_documents
from training.readers.sources import expand_sources

SYNTHETIC_CORPUS = "the synthetic corpus"
TRAINING_WORDS, HELD_OUT_WORDS = 100_000, 20_000
HELD_OUT_SHARE = 0.1  # of files

SPEAKERS = ["anna", "bela", "carl", "dora", "emil", "fritz"]
NOUNS = ["dog", "cat", "bird", "king", "child"]
VERBS = ["sees", "likes", "feeds", "finds"]
ADJECTIVES = ["old", "grey", "happy"]
ADJECTIVE_PROBABILITY = 0.3  # that a noun has one
SPEAKER_PROBABILITY = 0.3  # that the object of a clause is the speaker
CLAUSE_PROBABILITY = 0.8  # that another clause follows


@dataclass(frozen=True, slots=True)
class AnalysisCorpus:
    """The token streams of a run.

    Attributes:
        train: what small networks are trained on; None for an artifact.
        held_out: what networks are analyzed on.
        tokenizer: of the streams.
        name: the files or "the synthetic corpus", for messages.
    """

    train: TokenStream | None
    held_out: TokenStream
    tokenizer: Tokenizer
    name: str

    @property
    def vocabulary(self) -> int:
        """The number of tokens."""
        return self.tokenizer.size

    @property
    def title(self) -> str:
        """``name`` without directories, for reports, which may be published."""
        return ", ".join(Path(part).name for part in self.name.split(", "))

    def training_excerpts(self, recipe: GradientRecipe) -> ExcerptSource:
        """Excerpts of the recipe's ``length``.

        Raises:
            DataError: the documents are too short.
        """
        assert self.train is not None
        return ExcerptSource(self.train, length=recipe.length, named=self.name, options="--length")

    def held_out_excerpts(self, recipe: GradientRecipe) -> ExcerptSource:
        """Excerpts of twice the lags, so that states that far back have a past, or of the longest
        context and its target.

        Raises:
            DataError: the documents are too short.
        """
        length = max(2 * recipe.lags, recipe.longest_context + 1)
        options = "--lags and --context"
        return ExcerptSource(self.held_out, length=length, named=self.name, options=options)


def read_corpus(recipe: GradientRecipe, tokenizer: Tokenizer | None) -> AnalysisCorpus:
    """Reads the recipe's files, or makes the synthetic corpus if it names none.

    Args:
        recipe: of the run.
        tokenizer: that of the artifact. Without it, files are tokenized by character and the
            synthetic corpus by word.

    Raises:
        DataError: a file cannot be read or holds no text.
    """
    if not recipe.data:
        return _synthetic_corpus(recipe)
    documents = read_documents(
        expand_sources(recipe.data), unit=recipe.unit, column=recipe.column, header=recipe.header
    )
    name = ", ".join(recipe.data)
    if tokenizer is not None:
        return AnalysisCorpus(None, build_stream(documents, tokenizer), tokenizer, name)
    train, held_out = split_documents(documents, HELD_OUT_SHARE)
    characters = train_char_tokenizer(
        [line for text in train for line in split_lines(text)], vocabulary=None, minimum_count=1
    )
    return _encoded(train, held_out, characters, name)


def synthetic_text(words: int, seed: int) -> str:
    """Speeches with at least ``words`` words in total, separated by spaces."""
    generator = random.Random(seed)
    speeches, written = list[str](), 0
    while written < words:
        speeches.append(_speech(generator))
        written += speeches[-1].count(" ") + 1
    return " ".join(speeches)


def _synthetic_corpus(recipe: GradientRecipe) -> AnalysisCorpus:
    train = synthetic_text(TRAINING_WORDS, recipe.seed)
    held_out = synthetic_text(HELD_OUT_WORDS, recipe.seed + 1)
    words = train_word_tokenizer([train], vocabulary=None, pretokenized=True)
    return _encoded([train], [held_out], words, SYNTHETIC_CORPUS)


def _encoded(
    train: list[str], held_out: list[str], tokenizer: Tokenizer, name: str
) -> AnalysisCorpus:
    streams = build_stream(train, tokenizer), build_stream(held_out, tokenizer)
    return AnalysisCorpus(*streams, tokenizer, name)


def _speech(generator: random.Random) -> str:
    speaker = generator.choice(SPEAKERS)
    clauses = [_clause(speaker, generator)]
    while generator.random() < CLAUSE_PROBABILITY:
        clauses.append(_clause(speaker, generator))
    return f"{speaker} says {' and '.join(clauses)} , says {speaker} ."


def _clause(speaker: str, generator: random.Random) -> str:
    seen = speaker if generator.random() < SPEAKER_PROBABILITY else _noun_phrase(generator)
    return f"{_noun_phrase(generator)} {generator.choice(VERBS)} {seen}"


def _noun_phrase(generator: random.Random) -> str:
    noun = generator.choice(NOUNS)
    if generator.random() < ADJECTIVE_PROBABILITY:
        return f"the {generator.choice(ADJECTIVES)} {noun}"
    return f"the {noun}"
