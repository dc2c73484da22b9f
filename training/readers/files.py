"""Text files as blocks or lines: opened, decompressed and decoded.

The first bytes of a file decide on compression (gzip, bzip2, xz, Zstandard) and encoding (UTF-8, or
UTF-16 and UTF-32 with a byte order mark). The encoding of a file that is not UTF-8 is detected
where its first byte beyond ASCII is read. Files are read as streams, so that memory stays bounded
at any size of the decompressed text. Every error is a `DataError` with the file, the line where
there is one, and the remedy.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import importlib
import io
import lzma
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from training.errors import DataError
from training.readers.encodings import detect_encoding, named_encoding

BLOCK_BYTES = 2**16
MAX_LINE_LENGTH = 2**26  # characters
MAX_NUL_SHARE = 0.1  # of the characters of a block; a file with more is UTF-16 or binary

COMPRESSION_MARKS = {
    ".gz": b"\x1f\x8b\x08",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\x00",
    ".zst": b"\x28\xb5\x2f\xfd",
}
MAX_DIGITS = 18  # of a number of columns, vectors or dimensions
BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # a text may begin with "BZh"
BINARY_MARKS = {
    b"PK\x03\x04": "a zip archive or an office document; extract it, or export it as CSV",
    b"PAR1": "a Parquet file; convert it to JSON lines or CSV",
    b"ARROW1": "an Arrow file; convert it to JSON lines or CSV",
    b"\xd0\xcf\x11\xe0": "an office document; export it as CSV",
    b"%PDF": "a PDF document; extract its text",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; extract it",
    b"SQLite format 3\x00": "an SQLite database; export a table as CSV",
    b"\x93NUMPY": "a NumPy array, not text",
}
TAR_MARK = slice(257, 262)  # of "ustar" in a tar archive
UTF_8 = "utf-8-sig"
BYTE_ORDER_MARKS = (  # UTF-32 first, since its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def parse_count(text: str) -> int | None:
    """The whole number that ``text`` spells in decimal digits; None if it spells none.

    A number with more than `MAX_DIGITS` digits is no count, and Python refuses to parse those
    with some thousand digits.
    """
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def suffix_of(source: str | PurePath) -> str:
    """The suffix of the format in lower case: ".csv" for "a.CSV" and for "a.csv.gz"."""
    return _uncompressed(source).suffix.lower()


def stem_of(source: str | PurePath) -> str:
    """The name without the suffixes of format and compression: "a" for "b/a.csv.gz"."""
    return _uncompressed(source).stem


def _uncompressed(source: str | PurePath) -> PurePath:
    path = PurePath(source)
    return path.with_suffix("") if path.suffix.lower() in COMPRESSION_MARKS else path


def read_lines(path: Path, *, errors: str = "strict") -> Iterator[str]:
    r"""The lines of a text file, each with its "\n" or "\r\n".

    Lines end at a line feed. Other separators of Unicode (U+0085, U+2028) are text, since corpora
    have them inside sentences. A file with carriage returns and without line feeds has its lines
    end at carriage returns.

    Args:
        path: the file.
        errors: the treatment of undecodable bytes, as in `bytes.decode`.

    Raises:
        DataError: the file cannot be read, is not text, or has a line that is too long.
    """
    blocks = read_blocks(path, errors=errors)
    first = next(blocks, "")
    end = "\r" if "\r" in first[:-1] and "\n" not in first else "\n"
    number, pending, size = 1, list[str](), 0
    for block in chain([first], blocks):
        *done, rest = block.split(end)
        for piece in done:
            yield "".join([*pending, piece, "\n"])
            number, pending, size = number + 1, [], 0
        pending.append(rest)
        size += len(rest)
        if size > MAX_LINE_LENGTH:
            raise DataError(
                f"{path}, line {number}: longer than {MAX_LINE_LENGTH:,} characters; expected "
                "a file of lines"
            )
    if size:
        yield "".join(pending)


def read_blocks(path: Path, *, errors: str = "strict", folder: Path | None = None) -> Iterator[str]:
    """The text of a file without its byte order mark, in blocks with arbitrary bounds.

    Args:
        path: the file.
        errors: the treatment of undecodable bytes, as in `bytes.decode`.
        folder: is named in notices in place of one of its many files.

    Raises:
        DataError: the file cannot be read, or is not text.
    """
    line = 1
    with open_decompressed(path) as file:
        blocks = _DecodedBlocks(file, folder or path, _encoding(path, file), errors)
        while True:
            try:
                text = blocks.read()
            except UnicodeDecodeError as error:
                raise _not_decodable(path, line, error) from None
            if text is None:
                return
            if "\0" in text:
                raise _has_nul(path, line + text[: text.index("\0")].count("\n"), text)
            line += text.count("\n")
            if text:
                yield text


class _DecodedBlocks:
    """The text of a file; another encoding is detected at the first byte that is not UTF-8."""

    def __init__(self, file: BinaryIO, place: Path, encoding: str, errors: str) -> None:
        self._file = file
        self._place = place
        self._errors = errors
        self._detects = encoding == UTF_8 and errors == "strict"
        self._decoder: codecs.IncrementalDecoder | None
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)

    def read(self) -> str | None:
        """The text of the next block, perhaps empty; None after the last one."""
        if self._decoder is None:
            return None
        block = self._file.read(BLOCK_BYTES)
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            more = self._file.read(BLOCK_BYTES)  # the error may be at the end of a block
            block = error.object + more
            found = detect_encoding(self._place, block) if self._detects else None
            if found is None:
                raise
            self._decoder = codecs.getincrementaldecoder(found)(self._errors)
            text = self._decoder.decode(block, final=not more)
            if not more:
                self._decoder = None
        else:
            if not block:
                self._decoder = None
        self._detects = self._detects and text.isascii()  # otherwise it is UTF-8, or damaged
        return text


@contextmanager
def open_decompressed(path: Path) -> Iterator[BinaryIO]:
    """A block that reads the decompressed bytes of a file.

    Raises:
        DataError: the file cannot be read or is damaged.
    """
    with open_raw(path) as file, _decompressed(path, file) as content:
        yield content


@contextmanager
def open_raw(path: Path) -> Iterator[io.BufferedReader]:
    """A block that reads the raw bytes of a file.

    Raises:
        DataError: the file cannot be read, or its compressed data are found to be damaged.
    """
    try:
        _check_kind(path)
        with path.open("rb") as file:
            yield file
    except OSError as error:
        if error.errno is not None:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None
        raise _damaged(path, error) from None  # of gzip and bz2
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}: cannot be read: the compressed data are damaged or cut off ({error}); get the "
        "file anew"
    )


def _check_kind(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a NUL in the name
        raise DataError(f"{path!s:.100}: not the name of a file: {error}") from None
    if stat.S_ISDIR(mode):
        raise DataError(f"{path}: is a directory; name its files, as in '{path / '*.txt'}'")
    if not stat.S_ISREG(mode):
        raise DataError(
            f"{path}: is not a regular file, and files are read several times; write its content "
            "to a file first"
        )


def _decompressed(path: Path, file: io.BufferedReader) -> BinaryIO:
    head = file.peek(16)[:16]
    suffix = next((name for name, mark in COMPRESSION_MARKS.items() if head.startswith(mark)), None)
    if suffix == ".bz2" and not head[4:].startswith(BZIP2_BLOCKS):
        suffix = None
    named = path.suffix.lower()
    if suffix is None and named in COMPRESSION_MARKS:
        raise DataError(
            f"{path}: cannot be read: the name ends in {named}, but the content is not compressed "
            "so; rename the file, or get it anew"
        )
    if suffix is None:
        return file
    if suffix == ".zst":
        return _zstandard(path, file)
    if suffix == ".gz":
        stream: Any = gzip.GzipFile(fileobj=file)
    else:
        stream = bz2.BZ2File(file) if suffix == ".bz2" else lzma.LZMAFile(file)  # noqa: SIM115
    return io.BufferedReader(stream)


def _zstandard(path: Path, file: BinaryIO) -> BinaryIO:
    """Decompresses with the optional package `zstandard`."""
    try:
        package = importlib.import_module("zstandard")
    except ModuleNotFoundError:
        raise DataError(
            f"{path}: is compressed with Zstandard; install the package `zstandard`, or decompress "
            "the file first (zstd -d)"
        ) from None
    return io.BufferedReader(_Zstandard(file, package))


class _Zstandard(io.RawIOBase):
    """A reader that reports an incomplete last frame, which that of the package does not."""

    PIECE = 2**10  # bytes of input, which can expand to 32 MiB

    def __init__(self, file: BinaryIO, package: Any) -> None:
        self._file = file
        self._package = package
        self._frame: Any = None
        self._input = self._output = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output and self._advance():
            pass
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _advance(self) -> bool:
        """Decompresses a piece; False at the end of the file."""
        self._input = self._input or self._file.read(self.PIECE)
        if not self._input:
            if self._frame is not None:
                raise EOFError("the last frame is not complete")
            return False
        self._frame = self._frame or self._package.ZstdDecompressor().decompressobj()
        try:
            self._output = self._frame.decompress(self._input)
        except self._package.ZstdError as error:
            raise EOFError(str(error)) from None
        self._input = b""
        if self._frame.eof:
            self._input, self._frame = self._frame.unused_data, None
        return True


def _encoding(path: Path, file: BinaryIO) -> str:
    """The encoding, by the byte order mark; refuses known binary formats."""
    peek = getattr(file, "peek")  # noqa: B009  # all readers of this module have it
    head: bytes = peek(TAR_MARK.stop)[: TAR_MARK.stop]
    for mark, description in BINARY_MARKS.items():
        if head.startswith(mark):
            raise DataError(f"{path}: cannot be read as text: it is {description}")
    if head[TAR_MARK] == b"ustar":
        raise DataError(f"{path}: cannot be read as text: it is a tar archive; extract it")
    usual = named_encoding() or UTF_8
    return next((name for mark, name in BYTE_ORDER_MARKS if head.startswith(mark)), usual)


def _has_nul(path: Path, line: int, text: str) -> DataError:
    if text.count("\0") > MAX_NUL_SHARE * len(text):
        return DataError(
            f"{path}, line {line}: holds NUL bytes; the file is UTF-16 without a byte order mark "
            "(convert it: iconv -f UTF-16LE -t UTF-8), or it is not text"
        )
    return DataError(f"{path}, line {line}: holds a NUL byte; remove it (tr -d '\\000')")


def _not_decodable(path: Path, line: int, error: UnicodeDecodeError) -> DataError:
    """The error, with the line and the remedy."""
    place = f"{path}, line {line + error.object[: error.start].count(10)}"
    if error.encoding.startswith(("utf-16", "utf-32", "utf16", "utf32")):
        return DataError(f"{path}: begins as {error.encoding.upper()}, but is damaged: {error}")
    if error.encoding != "utf-8":
        return DataError(
            f"{place}: not {error.encoding}, so it cannot be read; name its encoding (--encoding)"
        )
    return DataError(
        f"{place}: not UTF-8, so it cannot be read; remove damaged bytes (iconv -c -f UTF-8), or "
        "name the encoding (--encoding windows-1252, gb18030, shift_jis, euc-kr, ...)"
    )
