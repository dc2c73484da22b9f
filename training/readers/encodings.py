"""The encoding of text files that are not Unicode: named by an option, or detected.

charset-normalizer detects it: it is well kept, small, and knows multi-byte encodings. It cannot
tell Windows-1252 from Windows-1250 by a few accents, so the more frequent one is taken if both fit.
"""

from __future__ import annotations

import codecs
from pathlib import Path

import charset_normalizer

from training.errors import RecipeError
from training.readers.notices import LOG

WESTERN = "cp1252"
CANDIDATES = (
    WESTERN,
    *("cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
WESTERN_SIGNS = (  # quotes, dashes, dots; currency, section, degree, marks; guillemets, space
    "\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022"
    "\u20ac\u00a3\u00a7\u00b0\u00a9\u00ae\u2122"
    "\u00ab\u00bb\u00a0"
)
FEW_BYTES = 4  # beyond ASCII; too few for the library
MAX_VALID_SHARE = 0.5  # of the non-ASCII bytes that are UTF-8; with more, a UTF-8 file is damaged


class _Named:
    """The encoding of the option; None to detect one."""

    encoding: str | None = None


def set_encoding(name: str | None) -> None:
    """Sets the encoding of all files of this process without a byte order mark.

    None stands for UTF-8, and for detection where a file is not UTF-8.

    Raises:
        RecipeError: there is no such encoding.
    """
    if name is None:
        _Named.encoding = None
        return
    try:
        "".encode(name)  # refuses codecs that are not encodings of text
        _Named.encoding = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise RecipeError(
            f"--encoding: {name!r:.60} is no encoding; expected a name such as utf-8, "
            "windows-1252, windows-1251, gb18030, shift_jis or euc-kr"
        ) from None


def named_encoding() -> str | None:
    """The encoding of the option; None if there is none."""
    return _Named.encoding


def detect_encoding(place: Path, sample: bytes) -> str | None:
    """The encoding of bytes that are not UTF-8, with a notice; None if it cannot be told.

    Args:
        place: the file or folder, for the notice.
        sample: a block of the file.
    """
    if _is_damaged_utf8(sample):
        return None
    if sum(byte >= 0x80 for byte in sample) < FEW_BYTES:
        name = WESTERN if _looks_western(sample) else None
    else:
        name = _detected(sample)
    if name is not None:
        LOG.info(
            "%s: not UTF-8, so it is read as %s, which is a guess (--encoding NAME: another one)",
            place,
            name.replace("cp", "windows-"),
        )
    return name


def _detected(sample: bytes) -> str | None:
    """The encoding by the library."""
    matches = charset_normalizer.from_bytes(sample, cp_isolation=list(CANDIDATES))
    best = matches.best()
    if best is None:
        return None
    fitting = {name for match in matches for name in match.could_be_from_charset}
    return WESTERN if best.encoding == "cp1250" and WESTERN in fitting else str(best.encoding)


def _looks_western(sample: bytes) -> bool:
    """Whether all bytes beyond ASCII are letters next to ASCII letters, or usual signs."""
    text = sample.decode(WESTERN, "replace")
    return all(
        character in WESTERN_SIGNS
        or (character.isalpha() and any(c.isascii() and c.isalpha() for c in (before, after)))
        for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False)
        if not character.isascii()
    )


def _is_damaged_utf8(sample: bytes) -> bool:
    """Whether most non-ASCII bytes are UTF-8."""
    others = sum(byte >= 0x80 for byte in sample)
    ascii_bytes = len(sample) - others
    valid = len(sample.decode("utf-8", "ignore").encode()) - ascii_bytes
    return valid > MAX_VALID_SHARE * others
