"""What the networks of `python -m training gradients` read: a text made up, or files.

Small networks are trained on one part and looked into on another. Knows no networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import train_char_tokenizer, train_word_tokenizer
from training.analysis.excerpts import ExcerptSource
from training.analysis.synthetic_corpus import demonstration_text
from training.config.gradients import GradientRecipe
from training.data.corpus import expanded
from training.data.token_stream import Stream, build_stream, lines_of
from training.data.validation_split import hold_out
from training.readers.documents import read_documents

MADE_UP = "the made-up text"
TRAINING_WORDS, HELD_OUT_WORDS = 100_000, 20_000
HELD_OUT = 0.1  # of the files


@dataclass(frozen=True, slots=True)
class Text:
    """Training text (none for an artifact), what is looked at, and how messages call both.

    ``title`` is the name without directories: where the files lie is nobody's business.
    """

    train: Stream | None
    held_out: Stream
    vocabulary: int
    name: str

    @property
    def title(self) -> str:
        return ", ".join(Path(part).name for part in self.name.split(", "))

    def excerpts_to_train(self, recipe: GradientRecipe) -> ExcerptSource:
        """Of the length that training reads.

        Raises:
            DataError: the documents are too short.
        """
        assert self.train is not None
        return ExcerptSource(self.train, length=recipe.length, named=self.name, options="--length")

    def excerpts_to_look_at(self, recipe: GradientRecipe) -> ExcerptSource:
        """So long that all lags and the longest context fit in.

        Raises:
            DataError: the documents are too short.
        """
        length = excerpt_length(recipe)
        options = "--lags and --context"
        return ExcerptSource(self.held_out, length=length, named=self.name, options=options)


def excerpt_length(recipe: GradientRecipe) -> int:
    """Twice the lags, so that states that far back have a past, or the context and its target."""
    return max(2 * recipe.lags, recipe.longest_context + 1)


def read_text(recipe: GradientRecipe, tokenizer: Tokenizer | None) -> Text:
    """Words of the made-up text, characters of files, or the tokens of the artifact's tokenizer.

    Raises:
        DataError: a file cannot be read or holds no text.
    """
    if not recipe.data:
        return _made_up(recipe)
    documents = read_documents(
        expanded(recipe.data), unit=recipe.unit, column=recipe.column, header=recipe.header
    )
    name = ", ".join(recipe.data)
    if tokenizer is not None:
        return Text(None, build_stream(documents, tokenizer), tokenizer.size, name)
    kept, held = hold_out(documents, HELD_OUT)
    characters = train_char_tokenizer(
        [line for text in kept for line in lines_of(text)], vocabulary=None, minimum_count=1
    )
    return _text(kept, held, characters, name)


def _made_up(recipe: GradientRecipe) -> Text:
    kept = demonstration_text(TRAINING_WORDS, recipe.seed)
    held = demonstration_text(HELD_OUT_WORDS, recipe.seed + 1)
    words = train_word_tokenizer([kept], vocabulary=None, pretokenized=True)
    return _text([kept], [held], words, MADE_UP)


def _text(kept: list[str], held: list[str], tokenizer: Tokenizer, name: str) -> Text:
    train, held_out = build_stream(kept, tokenizer), build_stream(held, tokenizer)
    return Text(train, held_out, tokenizer.size, name)
