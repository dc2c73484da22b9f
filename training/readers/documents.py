"""Sources as documents (for language models) and labeled examples (for classifiers).

Plain text is divided into documents by file, paragraph or line. The records of .jsonl, .csv, .tsv
and Hugging Face data sets are a document each. Of a folder all files are read. Texts are not
changed but for line ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

from training.errors import DataError
from training.readers.columns import open_text_column, string_in
from training.readers.files import read_blocks, read_lines
from training.readers.folders import files_in, is_folder
from training.readers.notices import LOG
from training.readers.sources import holds_records, is_blank

Unit = Literal["file", "paragraph", "line"]


class DocumentPart(NamedTuple):
    """A part of a document, not empty. ``opens``: whether it is the first one."""

    text: str
    opens: bool


def read_parts(
    sources: Sequence[str],
    *,
    unit: Unit = "file",
    column: str | None = None,
    header: bool | None = None,
) -> Iterator[DocumentPart]:
    """The documents of all sources, in order, in parts; without blank documents.

    A text file that is one document has many parts, any other document has one, so that memory
    holds at most a record, a paragraph or a block of a file.

    Args:
        sources: paths of files or folders, or "hf:NAME[:SPLIT[:CONFIG]]".
        unit: the document unit of plain text files. Windows line ends become line feeds.
        column: the text column of records, by name or by number from 1; None for "text", or the
            only column.
        header: whether the first row of a table names its columns; None to detect it.

    Raises:
        DataError: a source cannot be read or holds no text.
    """
    for source in sources:
        empty = True
        for part in _parts_of(source, unit, column, header):
            empty = False
            yield part
        if empty:
            raise DataError(f"{source}: holds no text; give a file with at least one document")


def read_documents(
    sources: Sequence[str],
    *,
    unit: Unit = "file",
    column: str | None = None,
    header: bool | None = None,
) -> list[str]:
    """The documents of `read_parts`, whole and in memory.

    Raises:
        DataError: a source cannot be read or holds no text.
    """
    return join_parts(read_parts(sources, unit=unit, column=column, header=header))


def join_parts(parts: Iterable[DocumentPart]) -> list[str]:
    """The documents of ``parts``, in memory."""
    documents: list[list[str]] = []
    for part in parts:
        if part.opens:
            documents.append([])
        documents[-1].append(part.text)
    return ["".join(parts) for parts in documents]


def _parts_of(
    source: str, unit: Unit, column: str | None, header: bool | None
) -> Iterator[DocumentPart]:
    if is_folder(source):
        return _folder_parts(Path(source), unit, column, header)
    if holds_records(source):
        return _record_parts(source, column, header)
    return _text_parts(Path(source), unit)


def _folder_parts(
    folder: Path, unit: Unit, column: str | None, header: bool | None
) -> Iterator[DocumentPart]:
    """The parts of all files; those without text are left out."""
    for path in files_in(folder):
        if holds_records(str(path)):
            yield from _record_parts(str(path), column, header)
        else:
            yield from _text_parts(path, unit, folder)


def _text_parts(path: Path, unit: Unit, folder: Path | None = None) -> Iterator[DocumentPart]:
    if unit == "file":
        return _file_parts(path, folder)
    return _whole(text_units(path, unit))


def _record_parts(source: str, column: str | None, header: bool | None) -> Iterator[DocumentPart]:
    """The texts of records; those without a text are left out, with a notice."""
    name, records = open_text_column(source, column, header)
    count = blank = 0
    for record in records:
        count += 1
        text = string_in(record, name)
        if is_blank(text):
            blank += 1
        else:
            yield DocumentPart(text, opens=True)
    if 0 < blank < count:
        LOG.info("%s: %d of %d records have no text and are left out", source, blank, count)


def _whole(texts: Iterable[str]) -> Iterator[DocumentPart]:
    return (DocumentPart(text, opens=True) for text in texts if not is_blank(text))


def _file_parts(path: Path, folder: Path | None = None) -> Iterator[DocumentPart]:
    """The parts of a file that is one document; none if it is blank."""
    pending, opens = "", True  # leading white space, or half of a line end
    for block in read_blocks(path, folder=folder):
        text = (pending + block).replace("\r\n", "\n")
        keep = len(text) if opens and text.isspace() else int(text.endswith("\r"))
        text, pending = text[: len(text) - keep], text[len(text) - keep :]
        if text:
            yield DocumentPart(text, opens)
            opens = False
    if pending and not opens:
        yield DocumentPart(pending, opens=False)


def text_units(path: Path, unit: Unit) -> Iterable[str]:
    """The lines or paragraphs of a text file, blank lines included."""
    lines = (_unix(line) for line in read_lines(path))
    if unit == "line":
        return (line.removesuffix("\n") for line in lines)
    blocks = groupby(lines, key=is_blank)
    return ("".join(block).removesuffix("\n") for blank, block in blocks if not blank)


def _unix(line: str) -> str:
    return line[:-2] + "\n" if line.endswith("\r\n") else line
