"""Minimal pairs: two sentences of which one is grammatical, from files of two kinds.

Tables (.tsv) without quoting, whose columns are construction, condition, good sentence
and bad sentence, as those made from Marvin and Linzen (2018); JSON lines with ``sentence_good``
and ``sentence_bad``, as BLiMP (Warstadt et al., 2020). Knows neither tokenizers nor networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import DataError
from training.readers.files import read_lines, stem_of, suffix_of
from training.readers.sources import Record, is_blank, is_unicode, read_records

COLUMNS = ("construction", "condition", "good sentence", "bad sentence")
JSON_LINES = (".jsonl", ".ndjson")
GOOD, BAD, NAME, ATTRACTORS = "sentence_good", "sentence_bad", "UID", "attractors"

# Conditions of Marvin and Linzen tell the number of the subject whose verb (or reflexive) is
# tested, then, after its parts, that of the other noun: "sing_MS_MV_plur_ES".
CONDITION = re.compile(r"(sing|plur)_[A-Z_]+?(?:_(sing|plur)_[A-Z_]+)?")
BETWEEN = re.compile(r"prep_|subj_rel|reflexives_across|obj_rel_(?:no_comp_)?across")
NEXT_TO_IT = re.compile(
    r"simple_(?:agrmt|reflexives)|sent_comp|vp_coord|reflexive_sent_comp|obj_rel_(?:no_comp_)?within"
)
DISTRACTOR = "distractor_agreement"  # of BLiMP: one noun of the other number stands between


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """Two sentences that differ in what makes one of them wrong.

    ``attractors`` counts the nouns of the other number between the subject and what has to agree
    with it; None where that is not known. ``condition`` may be empty.
    """

    construction: str
    condition: str
    good: str
    bad: str
    attractors: int | None = None


def read_pairs(sources: Sequence[str]) -> list[MinimalPair]:
    """The pairs of all files, in order.

    Raises:
        DataError: a file cannot be read, or a line of it is no pair.
    """
    pairs: list[MinimalPair] = []
    for source in sources:
        before = len(pairs)
        pairs.extend(_read(Path(source)))
        if len(pairs) == before:
            raise DataError(f"{source}: holds no pairs; expected {_expected()}")
    return pairs


def attractors_told(construction: str, condition: str) -> int | None:
    """What the names of Marvin and Linzen's and of BLiMP's sets tell about attractors."""
    if construction.startswith(DISTRACTOR):
        return 1
    numbers = CONDITION.fullmatch(condition)
    if numbers is None:
        return None
    if BETWEEN.match(construction):
        subject, other = numbers.groups()
        return None if other is None else int(subject != other)
    return 0 if NEXT_TO_IT.match(construction) else None


def _read(path: Path) -> Iterator[MinimalPair]:
    if suffix_of(path) == ".tsv":
        return _rows(path)
    if suffix_of(path) in JSON_LINES:
        return (_from_record(record, path) for record in read_records(str(path)))
    raise DataError(f"{path}: expected {_expected()}")


def _rows(path: Path) -> Iterator[MinimalPair]:
    for number, line in enumerate(read_lines(path), start=1):
        cells = line.removesuffix("\n").removesuffix("\r").split("\t")
        if cells == [""] or (number == 1 and cells[0] == COLUMNS[0]):
            continue
        place = f"{path}, line {number}"
        if len(cells) != len(COLUMNS):
            raise DataError(
                f"{place}: has {len(cells)} columns; expected {len(COLUMNS)}, with tabs between: "
                f"{', '.join(COLUMNS)}"
            )
        construction, condition, good, bad = cells
        attractors = attractors_told(construction, condition)
        yield _checked(MinimalPair(construction, condition, good, bad, attractors), place)


def _from_record(record: Record, path: Path) -> MinimalPair:
    good, bad = (_string(record, name) for name in (GOOD, BAD))
    construction = _string(record, NAME) if NAME in record.fields else stem_of(path)
    attractors: Any = record.fields.get(ATTRACTORS, attractors_told(construction, ""))
    if attractors is not None and (type(attractors) is not int or attractors < 0):
        raise DataError(f"{record.place}: {ATTRACTORS!r} must be a whole number from 0")
    return _checked(MinimalPair(construction, "", good, bad, attractors), record.place)


def _string(record: Record, name: str) -> str:
    value = record.fields.get(name)
    if not isinstance(value, str):
        found = ", ".join(record.fields) or "none"
        raise DataError(f"{record.place}: expected a string in {name!r}; the fields are: {found}")
    if not is_unicode(value):
        raise DataError(f"{record.place}: {name!r} holds half of a surrogate pair; remove it")
    return value


def _checked(pair: MinimalPair, place: str) -> MinimalPair:
    if is_blank(pair.construction):
        raise DataError(f"{place}: the construction is empty; give it a name")
    for name, sentence in zip(COLUMNS[2:], (pair.good, pair.bad), strict=True):
        if is_blank(sentence):
            raise DataError(f"{place}: the {name} is empty; remove the line")
    if pair.good == pair.bad:
        raise DataError(f"{place}: the good and the bad sentence are the same; remove the line")
    return pair


def _expected() -> str:
    return (
        f"a .tsv or .tsv.gz file with the columns {', '.join(COLUMNS)}, or a .jsonl file with "
        f"{GOOD} and {BAD}"
    )
