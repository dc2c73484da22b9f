"""The texts that a model is applied to: every line and record once, in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.errors import DataError
from training.readers.inputs import InputOptions, read_inputs


def texts(path: Path, **options: object) -> list[str]:
    """The texts of a file."""
    return [given.text for given in read_inputs([str(path)], InputOptions(**options))]  # type: ignore[arg-type]


def test_blank_lines_are_kept(tmp_path: Path) -> None:
    """The number of texts is that of the lines."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\n\n two \n")
    assert texts(path) == ["one", "", " two "]
    assert texts(path, unit="paragraph") == ["one", " two "]
    assert texts(path, unit="file") == ["one\n\n two \n"]


def test_records_have_their_copied_fields(tmp_path: Path) -> None:
    """Copied columns are returned with the text, and a missing text is blank."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one", "id": 7}\n{"text": null, "id": {"a": 1}}\n')
    given = list(read_inputs([str(path)], InputOptions(copied=("id",))))
    assert given == [("one", {"id": 7}), ("", {"id": {"a": 1}})]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """A column that a record lacks, and copies of plain text, are errors with the place."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one", "id": 7}\n{"text": "two"}\n')
    with pytest.raises(DataError, match=r"line 2: --copy: no column 'id'; found: text"):
        list(read_inputs([str(path)], InputOptions(copied=("id",))))
    plain = tmp_path / "a.txt"
    plain.write_text("one\n")
    with pytest.raises(DataError, match="no columns"):
        list(read_inputs([str(plain)], InputOptions(copied=("id",))))
