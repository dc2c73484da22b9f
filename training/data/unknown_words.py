"""Whether a text consists of tokens that a tokenizer knows, or mostly of unknown words.

A tokenizer by words takes what stands between spaces and punctuation for a word. Text in a script
without spaces between words (Chinese, Japanese, Thai, ...) becomes words that are seen once, so
[UNK], and a model of it learns nothing. Does not know files or networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from training.errors import DataError
from training.readers.notices import LOG

TOLD_SHARE = 0.2  # of tokens that are unknown: more are told, and figures about spelling left out
HOPELESS_SHARE = 0.3  # in a script without spaces
SCRIPT_SHARE = 0.3  # of letters that are of such a script
SAMPLE = 1_000  # pieces of text that are looked at
WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan; Burmese; Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # kana, Han
)
LETTER = re.compile(r"[^\W\d_]")


def share_without_spaces(texts: Iterable[str]) -> float:
    """The share of the letters that are of scripts without spaces between words."""
    letters = others = 0
    for text in islice(texts, SAMPLE):
        found = "".join(LETTER.findall(text))
        letters += len(found)
        others += len(WITHOUT_SPACES.findall(found))
    return others / max(1, letters)


def check_known(
    split: str, unknown: float, texts: Iterable[str], *, most: float | None = None, advice: str
) -> None:
    """Tells or refuses a split of which a large share is unknown to the tokenizer.

    Args:
        split: what messages call it.
        unknown: the share of its tokens that is [UNK].
        texts: what it is made of.
        most: the share that is not refused, where words have spaces between them; None: nothing
            is refused.
        advice: what to do.

    Raises:
        DataError: too many are unknown for anything to be learned or measured.
    """
    if unknown <= TOLD_SHARE:
        return
    told = f"{split}: {unknown:.0%} of the tokens are unknown words ([UNK])"
    script = share_without_spaces(texts)
    if script > SCRIPT_SHARE:
        most = None if most is None else min(most, HOPELESS_SHARE)
        told += f"; {script:.0%} of the letters are of a script without spaces between words"
    if most is not None and unknown > most:
        raise DataError(f"{told}; {advice}")
    LOG.warning("%s; %s", told, advice)
