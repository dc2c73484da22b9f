"""How well a language model artifact predicts documents, in the units that people compare.

Every token and the [END] of every document is predicted from all that stands before it in its
document. Perplexity depends on what a token is; per word, bits per character and bits per byte do
not, so that models with different tokenizers can be compared, as long as no [UNK] is among the
tokens: of an unknown word only the fact is predicted, not its spelling. Knows no files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.networks import LanguageModel
from model.tokenizer import Tokenizer
from training.corpus import build_stream
from training.language_model_data import unknown_share
from training.perplexity import lay_out, likelihood


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


def evaluate_language_model(
    network: LanguageModel,
    tokenizer: Tokenizer,
    documents: Sequence[str],
    *,
    lanes: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> dict[str, float]:
    """Figures by name, computed in float32.

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
    reading = lay_out(stream, lanes=lanes)
    found = likelihood(network, reading, "float32", on_progress=on_progress)
    bits = found.nats / math.log(2)
    return {
        "loss": found.loss,
        "perplexity": found.perplexity,
        "word_perplexity": math.exp(min(700.0, found.nats / max(1, size.words))),
        "bits_per_character": bits / size.characters,
        "bits_per_byte": bits / size.bytes,
        "unknown_share": unknown_share(stream, tokenizer),
        "documents": size.documents,
        "tokens": found.count,
        "words": size.words,
        "characters": size.characters,
        "bytes": size.bytes,
    }
