"""Which part of a text is held out for validation: about a share of its characters, at its end.

Works on documents that come in parts, of which only one is in memory. Knows no tokenizers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from training.readers.documents import Part, joined

WHOLE_DOCUMENTS_FROM = 20  # with so many documents none is cut to hold out a share of the text
NEARBY = 1000  # characters before a cut, among which a line's or a word's beginning is looked for


class Place(NamedTuple):
    """Before a character of a document; both are counted from 0."""

    document: int
    character: int


def hold_out(documents: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Takes about the last ``share`` of the characters away: (kept, held out).

    Neither is empty, unless there is but one character. Of many documents whole ones are taken; of
    a few, one may be cut, at a space if there is one.
    """
    parts = [Part(text, opens=True) for text in documents]
    place = place_to_cut(parts, share)
    if place is None:
        return list(documents), []
    return joined(parts_before(parts, place)), joined(parts_after(parts, place))


def place_to_cut(parts: Iterable[Part], share: float) -> Place | None:
    """Where what is held out begins; ``parts`` is read once or twice from its beginning.

    None if there is but one character.
    """
    lengths_D = _lengths(parts)
    wanted, last = share * sum(lengths_D), len(lengths_D) - 1
    while last > 0 and lengths_D[last] <= wanted:
        wanted -= lengths_D[last]
        last -= 1
    some = last < len(lengths_D) - 1
    if len(lengths_D) >= WHOLE_DOCUMENTS_FROM:
        return Place(last + some, 0)
    if some and wanted < 1:
        return Place(last + 1, 0)
    cut = _border(parts, Place(last, lengths_D[last] - max(1, round(wanted))))
    if cut < lengths_D[last]:
        return Place(last, cut)
    return Place(last, 0) if last > 0 else None


def parts_before(parts: Iterable[Part], place: Place) -> Iterator[Part]:
    """What is kept."""
    for at, part in _located(parts):
        if at >= place:
            return
        left = place.character - at.character
        yield part if at.document < place.document else Part(part.text[:left], part.opens)


def parts_after(parts: Iterable[Part], place: Place) -> Iterator[Part]:
    """What is held out."""
    for at, part in _located(parts):
        if at.document == place.document:
            text = part.text[max(0, place.character - at.character) :]
            if text:
                yield Part(text, opens=at.character <= place.character)
        elif at.document > place.document:
            yield part


def _located(parts: Iterable[Part]) -> Iterator[tuple[Place, Part]]:
    """Each part with the place where it begins."""
    document, character = -1, 0
    for part in parts:
        if part.opens:
            document, character = document + 1, 0
        yield Place(document, character), part
        character += len(part.text)


def _lengths(parts: Iterable[Part]) -> array[int]:
    """Characters of each document."""
    lengths_D = array("q")
    for part in parts:
        if part.opens:
            lengths_D.append(0)
        lengths_D[-1] += len(part.text)
    return lengths_D


def _border(parts: Iterable[Part], place: Place) -> int:
    """The last beginning of a line, or else of a word, in the few characters up to ``place``."""
    first = max(1, place.character - NEARBY)
    kept = "".join(part.text for part in _nearby(parts, Place(place.document, first), place))
    for separator in ("\n", " "):
        found = kept.rfind(separator)
        if found >= 0:
            return first + found + 1
    return max(1, place.character)


def _nearby(parts: Iterable[Part], first: Place, end: Place) -> Iterator[Part]:
    return parts_after(parts_before(parts, end), first)
