"""Text files: compression and encoding by content, line ends, damage, bounded memory."""

import bz2
import gzip
import importlib.util
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.errors import DataError
from training.readers import files
from training.readers.documents import read_documents
from training.readers.examples import read_examples
from training.readers.files import parse_count, read_blocks, read_lines, suffix_of
from training.readers.minimal_pairs import read_pairs
from training.readers.vector_files import read_vectors

CONTENT = 'text,label\n"one, two",A\nthree,B\n'
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def refusal(path: Path) -> str:
    """The one line that reading the file ends with."""
    with pytest.raises(DataError) as error:
        list(read_lines(path))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))
    return str(error.value)


@pytest.mark.parametrize("suffix", COMPRESSIONS)
@pytest.mark.parametrize("named", [True, False])
def test_compressed_files_are_read(tmp_path: Path, suffix: str, named: bool) -> None:
    """Found by their content: with the suffix of the compression or without, in any command."""
    table = tmp_path / ("a.csv" + suffix * named)
    table.write_bytes(COMPRESSIONS[suffix](CONTENT.encode()))
    assert [(e.text, e.label) for e in read_examples(str(table))] == [
        ("one, two", "A"),
        ("three", "B"),
    ]
    text = tmp_path / ("a.txt" + suffix * named)
    text.write_bytes(COMPRESSIONS[suffix]("één\n".encode()) * 2)  # two members, as cat joins them
    assert read_documents([str(text)]) == ["één\néén\n"]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_compressed_file_that_is_cut_off_is_refused(tmp_path: Path, suffix: str) -> None:
    """The error names the incomplete file."""
    path = tmp_path / ("a.txt" + suffix)
    path.write_bytes(COMPRESSIONS[suffix](os.urandom(1000).hex().encode() * 99)[:-9])
    assert "damaged or cut off" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"plain\n"])
def test_a_name_that_promises_compression_is_not_believed(tmp_path: Path, content: bytes) -> None:
    """The message states that name and content differ."""
    path = tmp_path / "a.txt.gz"
    path.write_bytes(content)
    assert "the name ends in .gz, but the content is not compressed so" in refusal(path)


def test_zstandard_is_read_or_the_package_is_named(tmp_path: Path) -> None:
    """A frame with one raw block; the package is optional."""
    path = tmp_path / "a.txt.zst"
    frame = b"\x28\xb5\x2f\xfd\x20\x03\x19\x00\x00abc"
    path.write_bytes(frame)
    if importlib.util.find_spec("zstandard") is None:
        assert "install the package `zstandard`" in refusal(path)
        return
    assert list(read_lines(path)) == ["abc"]
    path.write_bytes(frame[:-1])
    assert "damaged or cut off" in refusal(path)


BOMB = """
import resource, sys
from pathlib import Path
from training.readers.files import read_blocks
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = sum(map(len, read_blocks(Path(sys.argv[1]))))
print(size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_an_expanded_file_is_never_in_memory(tmp_path: Path) -> None:
    """Two hundred megabytes from two hundred kilobytes, read in a few."""
    path = tmp_path / "a.txt.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(200):
            file.write(b"a " * 500_000)
    command = [sys.executable, "-c", BOMB, str(path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    size, kilobytes = map(int, answer.stdout.split())
    assert size == 200 * 1_000_000
    assert kilobytes < 20_000


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it fills the memory; a text that is one document has no lines to bound."""
    monkeypatch.setattr(files, "MAX_LINE_LENGTH", 100_000)
    path = tmp_path / "a.txt"
    path.write_bytes(b"short\n" + b"x" * 300_000)
    assert "line 2: longer than 100,000 characters" in refusal(path)
    assert sum(map(len, read_blocks(path))) == 300_006


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_selects_the_encoding(tmp_path: Path, encoding: str) -> None:
    """UTF-16 as Windows writes it is read like UTF-8."""
    path = tmp_path / "a.csv"
    path.write_bytes(CONTENT.replace("\n", "\r\n").encode(encoding))
    assert [e.label for e in read_examples(str(path))] == ["A", "B"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("é é é é\n".encode() + b"caf\xe9\n", "remove damaged bytes (iconv -c -f UTF-8)"),
        ("one\ntwo\n".encode("utf-16-le"), "line 1: holds NUL bytes; the file is UTF-16 without"),
        (b"one line of text\ntwo\0 lines\n", "line 2: holds a NUL byte"),
        ("one".encode("utf-16") + b"x", "begins as UTF-16"),
        (b"PK\x03\x04rest", "a zip archive or an office document; extract it"),
        (b"PAR1rest", "a Parquet file; convert it"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compressed", [True, False])
def test_files_that_are_not_text_are_refused(
    tmp_path: Path, content: bytes, expected: str, compressed: bool
) -> None:
    """The error has the line, the probable file type and the remedy."""
    path = tmp_path / "a.txt"
    path.write_bytes(gzip.compress(content) if compressed else content)
    assert expected in refusal(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_the_system_that_wrote_them_ends_them(tmp_path: Path, end: str) -> None:
    """Unix, Windows, and a lone carriage return; other separators are text."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(f'{{"text": "a\u2028b\x85", "label": "x"}}{end}{end}{{"text": ""}}'.encode())
    (first, second, third) = read_lines(path)
    assert first.rstrip("\r\n") == '{"text": "a\u2028b\x85", "label": "x"}'
    assert (second.strip(), third) == ("", '{"text": ""}')


def test_paths_that_are_no_files_are_refused(tmp_path: Path) -> None:
    """Directories, pipes that can be read only once, names that no file can have."""
    assert "is a directory; name its files" in refusal(tmp_path)
    with pytest.raises(DataError, match="the folder has no file"):
        read_examples(str(tmp_path))
    os.mkfifo(tmp_path / "pipe.txt")
    assert "not a regular file" in refusal(tmp_path / "pipe.txt")
    with pytest.raises(DataError, match="not the name of a file"):
        list(read_lines(Path("a\0b")))


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.csv", ".csv"), ("a.CSV.GZ", ".csv"), ("b/a.tar.gz", ".tar"), ("a.gz", ""), ("a", "")],
)
def test_the_format_is_the_suffix_before_that_of_a_compression(name: str, suffix: str) -> None:
    """The suffix, in upper or lower case, before that of the compression gives the format."""
    assert suffix_of(name) == suffix


PIECES = [b'"', b'""', b",", b";", b"\t", b"\n", b"\r", b"\r\n", b"a", b"text", b"label", b"1"]
PIECES += [b" ", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\0", b"{", b"}", b"[", b":"]
PIECES += [b"0.5", b"nan", b"sep=;", b"\x1f\x8b\x08", b"BZh91AY&SY", b"\xe3\x80\x80", b"null"]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """In every format: never another error, and each refusal names the file in one line."""
    folder = tmp_path_factory.mktemp("any", numbered=True)
    reads: dict[str, Callable[[str], object]] = {
        "a.csv": read_examples,
        "a.tsv": read_examples,
        "a.jsonl": read_examples,
        "a.csv.gz": lambda path: read_documents([path]),
        "a.txt": lambda path: read_documents([path], unit="line"),
        "b.tsv": lambda path: read_pairs([path]),
        "v.txt": lambda path: read_vectors(Path(path)),
    }
    for name, read in reads.items():
        path = folder / name
        path.write_bytes(content)
        try:
            read(str(path))
        except DataError as error:
            assert str(error).startswith(str(path))  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("12", 12), ("-1", None), ("1.0", None), ("", None), ("9" * 18, 10**18 - 1)],
)
def test_a_count_is_a_number_in_decimal_digits(text: str, number: int | None) -> None:
    """Signs, points and empty texts are refused."""
    assert parse_count(text) == number


def test_a_count_of_very_many_digits_is_refused() -> None:
    """Python raises an error for thousands of digits."""
    assert parse_count("9" * 19) is None
    assert parse_count("1" * 10_000) is None
