"""Minimal pairs: two sentences of which one is grammatical.

Tables (.tsv), without quoting, have the columns construction, condition, good sentence and bad
sentence, as those after Marvin and Linzen (2018). JSON lines have ``sentence_good`` and
``sentence_bad``, as BLiMP (Warstadt et al., 2020).
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

PAIR_COLUMNS = ("construction", "condition", "good sentence", "bad sentence")
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
GOOD_FIELD, BAD_FIELD, CONSTRUCTION_FIELD, ATTRACTORS_FIELD = (
    "sentence_good",
    "sentence_bad",
    "UID",
    "attractors",
)

# A condition of Marvin and Linzen has the number of the subject whose verb (or reflexive) is tested
# and then, after its parts, the number of the other noun: "sing_MS_MV_plur_ES".
CONDITION_PATTERN = re.compile(r"(sing|plur)_[A-Z_]+?(?:_(sing|plur)_[A-Z_]+)?")
ATTRACTOR_CONSTRUCTIONS = re.compile(
    r"prep_|subj_rel|reflexives_across|obj_rel_(?:no_comp_)?across"
)
ADJACENT_CONSTRUCTIONS = re.compile(
    r"simple_(?:agrmt|reflexives)|sent_comp|vp_coord|reflexive_sent_comp|obj_rel_(?:no_comp_)?within"
)
DISTRACTOR_CONSTRUCTION = (
    "distractor_agreement"  # of BLiMP: one noun of the other number stands between
)


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """A grammatical and an ungrammatical sentence that differ in one respect.

    Args:
        construction: the name of the construction.
        condition: the name of the condition; may be empty.
        good: the grammatical sentence.
        bad: the ungrammatical sentence.
        attractors: the number of nouns of the other number between the subject and the word that
            agrees with it; None if not known.
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


def attractors_by_name(construction: str, condition: str) -> int | None:
    """The number of attractors, by the names of Marvin and Linzen or of BLiMP, if they give it."""
    if construction.startswith(DISTRACTOR_CONSTRUCTION):
        return 1
    numbers = CONDITION_PATTERN.fullmatch(condition)
    if numbers is None:
        return None
    if ATTRACTOR_CONSTRUCTIONS.match(construction):
        subject, other = numbers.groups()
        return None if other is None else int(subject != other)
    return 0 if ADJACENT_CONSTRUCTIONS.match(construction) else None


def _read(path: Path) -> Iterator[MinimalPair]:
    if suffix_of(path) == ".tsv":
        return _rows(path)
    if suffix_of(path) in JSON_LINES_SUFFIXES:
        return (_from_record(record, path) for record in read_records(str(path)))
    raise DataError(f"{path}: expected {_expected()}")


def _rows(path: Path) -> Iterator[MinimalPair]:
    for number, line in enumerate(read_lines(path), start=1):
        cells = line.removesuffix("\n").removesuffix("\r").split("\t")
        if cells == [""] or (number == 1 and cells[0] == PAIR_COLUMNS[0]):
            continue
        place = f"{path}, line {number}"
        if len(cells) != len(PAIR_COLUMNS):
            raise DataError(
                f"{place}: has {len(cells)} columns; expected {len(PAIR_COLUMNS)}, with tabs "
                f"between: {', '.join(PAIR_COLUMNS)}"
            )
        construction, condition, good, bad = cells
        attractors = attractors_by_name(construction, condition)
        yield _checked(MinimalPair(construction, condition, good, bad, attractors), place)


def _from_record(record: Record, path: Path) -> MinimalPair:
    good, bad = (_string(record, name) for name in (GOOD_FIELD, BAD_FIELD))
    construction = (
        _string(record, CONSTRUCTION_FIELD)
        if CONSTRUCTION_FIELD in record.fields
        else stem_of(path)
    )
    attractors: Any = record.fields.get(ATTRACTORS_FIELD, attractors_by_name(construction, ""))
    if attractors is not None and (type(attractors) is not int or attractors < 0):
        raise DataError(f"{record.place}: {ATTRACTORS_FIELD!r} must be a whole number from 0")
    return _checked(MinimalPair(construction, "", good, bad, attractors), record.place)


def _string(record: Record, name: str) -> str:
    value = record.fields.get(name)
    if not isinstance(value, str):
        names = ", ".join(record.fields) or "none"
        raise DataError(f"{record.place}: expected a string in {name!r}; the fields are: {names}")
    if not is_unicode(value):
        raise DataError(f"{record.place}: {name!r} holds half of a surrogate pair; remove it")
    return value


def _checked(pair: MinimalPair, place: str) -> MinimalPair:
    if is_blank(pair.construction):
        raise DataError(f"{place}: the construction is empty; give it a name")
    for name, sentence in zip(PAIR_COLUMNS[2:], (pair.good, pair.bad), strict=True):
        if is_blank(sentence):
            raise DataError(f"{place}: the {name} is empty; remove the line")
    if pair.good == pair.bad:
        raise DataError(f"{place}: the good and the bad sentence are the same; remove the line")
    return pair


def _expected() -> str:
    return (
        f"a .tsv or .tsv.gz file with the columns {', '.join(PAIR_COLUMNS)}, or a .jsonl file with "
        f"{GOOD_FIELD} and {BAD_FIELD}"
    )
