"""Sources as labeled examples, for classifiers.

Records have a column of texts and a column of labels. Lines with ``__label__`` are read as fastText
reads them, and a plain text file with a tab in each line as a table. A folder has a folder for each
label with one file a document. A text may have several labels, or none, in a list in JSON, in a
cell with a separator, or in a line with several ``__label__``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from training.errors import DataError, format_list
from training.readers.columns import ColumnOptions, open_columns, string_in, value_in
from training.readers.files import open_raw, read_blocks, read_lines
from training.readers.folders import files_in, is_folder, label_folders
from training.readers.label_lines import has_label_lines, read_label_lines
from training.readers.notices import LOG
from training.readers.sources import Record, holds_records, is_blank, is_unicode

MAX_LISTED_PLACES = 5  # of empty records in a message
MAX_LISTED_LABELS = 5
NONE_HINT = "; --multi-label reads an empty label as no label"
SAMPLE_LINES = 100  # by which a table without its suffix is recognized


@dataclass(frozen=True, slots=True, init=False)
class Example:
    """A text and its labels, each once: one label, unless the classifier is multi-label."""

    text: str
    labels: tuple[str, ...]

    def __init__(self, text: str, *labels: str) -> None:
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "labels", labels)

    @property
    def label(self) -> str:
        """The only label."""
        (label,) = self.labels
        return label


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """How many labels a text has, and how they are written.

    Args:
        multi_label: True if a text may have several labels, or none, as an empty cell says. False
            if it has one. None if several labels are taken where they are written as such, with an
            empty cell as a missing label.
        separator: between the labels of a cell; None if a cell is one label.
    """

    multi_label: bool | None = False
    separator: str | None = None


ONE_LABEL = LabelOptions()


def read_examples(
    source: str,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    header: bool | None = None,
    skip_empty: bool = False,
    label_options: LabelOptions = ONE_LABEL,
) -> list[Example]:
    """The labeled examples of a source of records, in order.

    Args:
        source: a path of a file or folder, or "hf:NAME[:SPLIT[:CONFIG]]".
        text_column: by name or by number from 1; None for "text", or the only choice left.
        label_column: likewise; None for "label", or the only choice left. Of two columns with other
            names, the one with fewer different values is taken, with a notice.
        header: whether the first row of a table names its columns; None to detect it.
        skip_empty: whether to leave out records without a text or a label, with a notice.
        label_options: whether a text may have several labels.

    Raises:
        DataError: the source cannot be read, has no records, lacks a column, has an empty text
            or label, or several labels where a text has one.
    """
    options = ColumnOptions(text_column, label_column, header)
    examples: list[Example] = []
    empty: list[_Empty] = []
    for text, labels in _open(source, options, label_options):
        faults = [value for value in (text, labels) if isinstance(value, _Empty)]
        if isinstance(text, str) and not isinstance(labels, _Empty):
            examples.append(Example(text, *labels))
        empty += faults[:1]
    may_ask = label_options.multi_label is None
    _report_empty(source, empty, len(examples), skip=skip_empty, may_ask=may_ask)
    return examples


Labels = tuple[str, ...]
Cells = tuple["str | _Empty", "Labels | _Empty"]


def _open(source: str, options: ColumnOptions, label_options: LabelOptions) -> Iterator[Cells]:
    """The texts and labels of a source of any kind."""
    if is_folder(source):
        return _read_folder(Path(source), options, label_options)
    if holds_records(source) or _is_table(Path(source)):
        return _read_columns(source, options, label_options)
    if has_label_lines(Path(source)):
        return _read_label_lines(Path(source), label_options)
    with open_raw(Path(source)):  # refuses missing files and pipes
        pass
    raise DataError(
        f"{source}: holds no labels; give a .jsonl, .csv or .tsv file with a column of texts and a "
        "column of labels, lines that begin with __label__NAME, or a folder with a folder of "
        "documents for each label"
    )


def _read_columns(
    source: str, options: ColumnOptions, label_options: LabelOptions
) -> Iterator[Cells]:
    columns, records = open_columns(source, options)
    for record in records:
        yield _text(record, columns.text), _labels(record, columns.label, label_options)


def _read_label_lines(path: Path, label_options: LabelOptions) -> Iterator[Cells]:
    for place, text, labels in read_label_lines(path):
        checked: Labels | _Empty = tuple(dict.fromkeys(labels))
        if "" in labels or not (labels or label_options.multi_label):
            checked = _Empty(place, "the label is empty")
        elif len(labels) > 1:
            _check_several(place, labels, label_options)
        yield _Empty(place, "the text is empty") if is_blank(text) else text, checked


def _read_folder(
    folder: Path, options: ColumnOptions, label_options: LabelOptions
) -> Iterator[Cells]:
    """The documents of a folder for each label; without such folders, the files of examples."""
    labels = label_folders(folder)
    if not labels:
        for path in files_in(folder):
            yield from _open(str(path), options, label_options)
        return
    count = sum(path.is_file() for path in folder.iterdir() if not path.name.startswith("."))
    if count:
        LOG.info("%s: %d files beside the folders of labels are left out", folder, count)
    for label in labels:
        for path in files_in(label):
            text = "".join(read_blocks(path, folder=folder)).replace("\r\n", "\n")
            empty = _Empty(str(path), "the text is empty")
            yield empty if is_blank(text) else text, (label.name,)


def _is_table(path: Path) -> bool:
    """Whether each of the first lines has a tab, equally many; a notice says so."""
    tabs = {line.count("\t") for line in islice(read_lines(path), SAMPLE_LINES) if line.strip()}
    if len(tabs) != 1 or 0 in tabs:
        return False
    LOG.info("%s: read as a table, since each line has a tab", path)
    return True


@dataclass(frozen=True, slots=True)
class _Empty:
    """A record that lacks its text or its label."""

    place: str
    fault: str


def _text(record: Record, column: str) -> str | _Empty:
    text = string_in(record, column)
    return _Empty(record.place, "the text is empty") if is_blank(text) else text


def _labels(record: Record, column: str, options: LabelOptions) -> Labels | _Empty:
    """The labels of a record: a list, a cell with a separator, or one label."""
    value = value_in(record, column)
    if isinstance(value, list):
        _check_several(record.place, value, options)
        labels = [_label(record.place, item) for item in value]
        for label in labels:
            if isinstance(label, _Empty):
                raise DataError(f"{record.place}: in the list of labels, {label.fault}")
        return tuple(dict.fromkeys(label for label in labels if isinstance(label, str)))
    if options.multi_label and (value is None or (isinstance(value, str) and is_blank(value))):
        return ()
    if options.separator is not None and isinstance(value, str):
        parts = [part for part in value.split(options.separator) if not is_blank(part)]
        labels = [_label(record.place, part) for part in parts]
        return tuple(dict.fromkeys(label for label in labels if isinstance(label, str)))
    label = _label(record.place, value)
    return label if isinstance(label, _Empty) else (label,)


def _check_several(place: str, labels: Sequence[object], options: LabelOptions) -> None:
    """Refuses a list of labels where a text has one."""
    if options.multi_label is not False:
        return
    names = format_list([repr(f"{label!s:.60}") for label in labels], MAX_LISTED_LABELS)
    found = f"has {len(labels)} labels: {names}" if len(labels) > 1 else "has a list of labels"
    raise DataError(
        f"{place}: {found}; a text has one label here, so keep one, or train a multi-label model "
        "(--multi-label)"
    )


def _label(place: str, value: object) -> str | _Empty:
    """A label: a string, a whole number, or true or false as JSON writes them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value != value:  # noqa: PLR0124  # NaN
        kind = "null" if value is None else "NaN"
        fault = f"the label must be a string or a whole number, found {kind}"
        return _Empty(place, fault)
    if not isinstance(value, str | int):
        kind = type(value).__name__
        raise DataError(f"{place}: the label must be a string or a whole number, found {kind}")
    label = str(value).strip()
    if not is_unicode(label):
        raise DataError(f"{place}: the label holds half of a surrogate pair; rename the label")
    return _Empty(place, "the label is empty") if is_blank(label) else label


def _report_empty(
    source: str, empty: Sequence[_Empty], kept: int, *, skip: bool, may_ask: bool
) -> None:
    """Refuses a source with empty records; with ``skip`` it gives a notice instead.

    ``may_ask``: whether texts without labels could be asked for.
    """
    if not empty:
        return
    first, *others = empty
    places = [record.place.removeprefix(f"{source}, ") for record in others[:MAX_LISTED_PLACES]]
    more = f", {len(others) - MAX_LISTED_PLACES} more" if len(others) > MAX_LISTED_PLACES else ""
    others_text = f"; the same in {', '.join(places)}{more}" if others else ""
    count = f"{len(empty)} of {len(empty) + kept} records have no text or no label"
    if not skip:
        raise DataError(
            f"{first.place}: {first.fault}{others_text} ({count}). Correct or remove them, or "
            f"leave them out with --skip-empty{NONE_HINT if may_ask else ''}"
        )
    if kept == 0:
        raise DataError(f"{source}: holds no records with a text and a label ({count})")
    place = first.place.removeprefix(f"{source}, ")
    LOG.warning("%s: %s and are left out, the first in %s", source, count, place)
