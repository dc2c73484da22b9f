"""The validation split of a text: a share of its characters, at its end.

Documents come in parts, of which one at a time is in memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from training.readers.documents import DocumentPart, join_parts

MIN_WHOLE_DOCUMENTS = 20  # from so many documents on, none is divided
BOUNDARY_SEARCH_CHARACTERS = 1000  # before a cut, for a line or word to begin


class TextPosition(NamedTuple):
    """The position of a character: its document and its index there, both from 0."""

    document: int
    character: int


def split_documents(documents: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Splits documents into (kept, held out), with about the last ``share`` of characters held out.

    Neither is empty unless there is a single character. Many documents are held out whole; of a
    few, one may be divided, at a space if it has one.
    """
    parts = [DocumentPart(text, opens=True) for text in documents]
    place = find_cut(parts, share)
    if place is None:
        return list(documents), []
    return join_parts(parts_before(parts, place)), join_parts(parts_after(parts, place))


def find_cut(parts: Iterable[DocumentPart], share: float) -> TextPosition | None:
    """The first position that is held out; None if there is a single character.

    ``parts`` is iterated once or twice.
    """
    lengths_D = _lengths(parts)
    remaining, last = share * sum(lengths_D), len(lengths_D) - 1
    while last > 0 and lengths_D[last] <= remaining:
        remaining -= lengths_D[last]
        last -= 1
    some = last < len(lengths_D) - 1
    if len(lengths_D) >= MIN_WHOLE_DOCUMENTS:
        return TextPosition(last + some, 0)
    if some and remaining < 1:
        return TextPosition(last + 1, 0)
    cut = _border(parts, TextPosition(last, lengths_D[last] - max(1, round(remaining))))
    if cut < lengths_D[last]:
        return TextPosition(last, cut)
    return TextPosition(last, 0) if last > 0 else None


def parts_before(parts: Iterable[DocumentPart], place: TextPosition) -> Iterator[DocumentPart]:
    """The documents before a position."""
    for start, part in _located(parts):
        if start >= place:
            return
        left = place.character - start.character
        yield (
            part if start.document < place.document else DocumentPart(part.text[:left], part.opens)
        )


def parts_after(parts: Iterable[DocumentPart], place: TextPosition) -> Iterator[DocumentPart]:
    """The documents from a position on."""
    for start, part in _located(parts):
        if start.document == place.document:
            text = part.text[max(0, place.character - start.character) :]
            if text:
                yield DocumentPart(text, opens=start.character <= place.character)
        elif start.document > place.document:
            yield part


def _located(parts: Iterable[DocumentPart]) -> Iterator[tuple[TextPosition, DocumentPart]]:
    """Each part with the position of its first character."""
    document, character = -1, 0
    for part in parts:
        if part.opens:
            document, character = document + 1, 0
        yield TextPosition(document, character), part
        character += len(part.text)


def _lengths(parts: Iterable[DocumentPart]) -> array[int]:
    """The number of characters of each document."""
    lengths_D = array("q")
    for part in parts:
        if part.opens:
            lengths_D.append(0)
        lengths_D[-1] += len(part.text)
    return lengths_D


def _border(parts: Iterable[DocumentPart], place: TextPosition) -> int:
    """The beginning of the last line, or else word, in the characters before ``place``."""
    first = max(1, place.character - BOUNDARY_SEARCH_CHARACTERS)
    kept = "".join(part.text for part in _nearby(parts, TextPosition(place.document, first), place))
    for separator in ("\n", " "):
        index = kept.rfind(separator)
        if index >= 0:
            return first + index + 1
    return max(1, place.character)


def _nearby(
    parts: Iterable[DocumentPart], first: TextPosition, end: TextPosition
) -> Iterator[DocumentPart]:
    return parts_after(parts_before(parts, end), first)
