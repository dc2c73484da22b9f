"""Detection of text whose words a tokenizer does not know.

A word tokenizer takes the text between spaces and punctuation for a word. Text in a script without
spaces between words (Chinese, Japanese, Thai, ...) becomes words that occur once, and so [UNK], of
which a model learns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from training.errors import DataError
from training.readers.notices import LOG

WARNING_SHARE = 0.2  # of unknown tokens
MAX_SHARE_WITHOUT_SPACES = 0.3  # of unknown tokens in a script without spaces
SCRIPT_SHARE = 0.3  # of letters of such a script, for a text to be in it
SCRIPT_SAMPLE_TEXTS = 1_000
WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan; Burmese; Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # kana, Han
)
LETTER = re.compile(r"[^\W\d_]")


def share_without_spaces(texts: Iterable[str]) -> float:
    """The share of letters of scripts without spaces between words."""
    letters = others = 0
    for text in islice(texts, SCRIPT_SAMPLE_TEXTS):
        text_letters = "".join(LETTER.findall(text))
        letters += len(text_letters)
        others += len(WITHOUT_SPACES.findall(text_letters))
    return others / max(1, letters)


def check_unknown_share(
    split: str, unknown: float, texts: Iterable[str], *, most: float | None = None, advice: str
) -> None:
    """Warns of a split with many unknown tokens, or refuses it.

    Args:
        split: the name of the split in messages.
        unknown: the share of its tokens that is [UNK].
        texts: the texts of the split.
        most: the largest share that is accepted, in a script with spaces; None accepts all.
        advice: the remedy, for messages.

    Raises:
        DataError: the share is larger than ``most``.
    """
    if unknown <= WARNING_SHARE:
        return
    message = f"{split}: {unknown:.0%} of the tokens are unknown words ([UNK])"
    script = share_without_spaces(texts)
    if script > SCRIPT_SHARE:
        most = None if most is None else min(most, MAX_SHARE_WITHOUT_SPACES)
        message += f"; {script:.0%} of the letters are of a script without spaces between words"
    if most is not None and unknown > most:
        raise DataError(f"{message}; {advice}")
    LOG.warning("%s; %s", message, advice)
