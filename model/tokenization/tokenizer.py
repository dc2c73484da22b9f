"""Encoding and decoding with word, char and bpe tokenizers in Hugging Face ``tokenizers`` files.

The last id of every tokenizer is ``[END]``. Word and char tokenizers have ``[UNK]`` as id 0; bpe
encodes every byte and needs none. The characters "[END]" in a text are never encoded as ``[END]``.
:mod:`model.tokenization.tokenizer_training` makes tokenizers.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import tokenizers

from model.errors import ArtifactError, LibraryPanicError, panics_as_errors
from model.system.regular_files import read_file
from model.tokenization.tokenizer_file import (
    BYTE_OF,
    END,
    UNKNOWN,
    TokenizerFile,
    TokenizerKind,
    read_tokenizer_file,
)

__all__ = ["END", "UNKNOWN", "Decoder", "Piece", "Tokenizer", "TokenizerKind"]

MAX_TOKENIZER_BYTES = 2**26
MAX_CHUNK_LENGTH = 2**14
"""Characters of one call of the library, which needs much memory for each token."""
MAX_LOCKED_LENGTH = 2**10
"""Characters that are encoded faster than the interpreter's lock is released and acquired."""
_LAST_BOUNDARY = re.compile(r".*(?:\S(?= \S)|\S\n(?=\S))", re.DOTALL)


class Piece(NamedTuple):
    """A token and the characters of the text that it encodes."""

    id: int
    text: str


class Tokenizer:
    """A tokenizer, made by :meth:`load`, :meth:`from_json` or tokenizer training.

    Attributes:
        kind: "word", "char" or "bpe".
        lossless: decoding returns the encoded text. Tokenizers of classifiers lower-case the text
            and drop white space instead.
        size: number of ids, [END] included.
        end: id of [END].
        unknown: id of [UNK], None for bpe.
        suppressed: ids that are never generated.

    Example:
        >>> tokenizer = Tokenizer.load(Path("pretrained/english-word/tokenizer.json"))
        >>> tokenizer.decode(tokenizer.encode("We the people"))
        'We the people'
    """

    def __init__(self, file: TokenizerFile) -> None:
        try:
            with panics_as_errors():
                self._backend = tokenizers.Tokenizer.from_str(file.text)
        except Exception as error:  # the library raises plain Exception
            raise ValueError(f"not a tokenizer file: {error}") from error
        self._backend.encode_special_tokens = True  # "[END]" in a text is encoded as text
        self.kind: TokenizerKind = file.form.kind
        self.lossless = file.form.normalizer is None
        self.size = len(file.entries) + 1
        self.end = len(file.entries)
        self.unknown = None if self.kind == "bpe" else file.entries.index(UNKNOWN)
        self.suppressed = frozenset(() if self.unknown is None else (self.unknown,))
        self._texts_V = [*map(self._bytes_from, file.entries), b""]
        self._longest_token = max(map(len, self._texts_V))
        self._id_of_character = self._characters() if self._is_plain_char else {}

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """A tokenizer from the text of its file. Raises ValueError if the file is not valid."""
        return cls(read_tokenizer_file(text))

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Reads a tokenizer file. Raises ArtifactError if it is missing or not valid."""
        try:
            return cls.from_json(read_file(path, MAX_TOKENIZER_BYTES).decode())
        except ValueError as error:
            raise ArtifactError(path, str(error)) from error

    def save(self, path: Path) -> None:
        """Writes a tokenizer file."""
        path.write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """The text of the tokenizer's file."""
        return self._backend.to_str(pretty=True)

    def encode(self, text: str, max_tokens: int | None = None) -> list[int]:
        """Encodes a text.

        A word of more than ``MAX_CHUNK_LENGTH`` characters is encoded in parts.

        Args:
            text: the text.
            max_tokens: stop after the part of the text that exceeds this number of tokens, so that
                the cost of a longer text is bounded.

        Returns:
            Token ids without [END].

        Raises:
            ValueError: the text has half of a surrogate pair, or cannot be split.
        """
        _check_unicode(text)
        if self._is_plain_char:
            return self._encode_characters(text if max_tokens is None else text[: max_tokens + 1])
        ids: list[int] = []
        for chunk in _chunks(text):
            ids += self._encode(chunk, offsets=False).ids
            if max_tokens is not None and len(ids) > max_tokens:
                break
        return ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Token ids of several texts, encoded in parallel."""
        for text in texts:
            _check_unicode(text)
        with _panics_as_value_errors():
            encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def pieces(self, text: str, max_tokens: int | None = None) -> list[Piece]:
        """Encodes a text to tokens with their characters, as :meth:`encode`.

        The characters of a lossless tokenizer's pieces join to the text. If several bpe tokens
        encode one character, the last one has it.
        """
        if self.kind == "bpe":
            decoder = self.decoder()
            return [Piece(token, decoder.push(token)) for token in self.encode(text, max_tokens)]
        if self._is_plain_char:
            return list(map(Piece, self.encode(text, max_tokens), text))
        _check_unicode(text)
        pieces = itertools.chain.from_iterable(map(self._pieces_of, _chunks(text)))
        return list(itertools.islice(pieces, None if max_tokens is None else max_tokens + 1))

    def at_least(self, text: str) -> int:
        """A lower bound of the text's number of tokens, computed without encoding it."""
        if self._is_plain_char:
            return len(text)
        if self.kind == "bpe":
            return -(-len(text) // self._longest_token)
        return text.count(" ") if self.lossless else 0  # a token has at most one space, its first

    def text_of(self, token: int) -> str:
        """The text of one token: "" for [END], "[UNK]" for the unknown word."""
        return self._texts_V[token].decode("utf-8", errors="replace")

    def bytes_of(self, token: int) -> bytes:
        """The UTF-8 bytes of one token. A bpe token may be part of a character."""
        return self._texts_V[token]

    def name_of(self, token: int) -> str:
        """The text of one token, unambiguous: "[END]", and bytes for a part of a character."""
        if token == self.end:
            return END
        surface = self._texts_V[token]
        try:
            return surface.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in surface)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of a sequence of tokens. Raises IndexError for an id out of range."""
        return b"".join(self._texts_V[token] for token in tokens).decode("utf-8", errors="replace")

    def decoder(self, pending: bytes = b"") -> Decoder:
        """An incremental decoder that continues from the ``pending`` bytes of another one."""
        return Decoder(self, pending)

    def vocabulary(self) -> list[str]:
        """The texts of all tokens, in order of their ids."""
        return [self.text_of(token) for token in range(self.size)]

    @property
    def _is_plain_char(self) -> bool:
        """Whether encoding is a lookup of single characters, without the library."""
        return self.kind == "char" and self.lossless

    def _characters(self) -> dict[str, int]:
        texts = {self.text_of(token): token for token in range(self.size)}
        return {text: token for text, token in texts.items() if len(text) == 1}

    def _encode_characters(self, text: str) -> list[int]:
        id_of, unknown = self._id_of_character, cast("int", self.unknown)
        return [id_of.get(character, unknown) for character in text]

    def _encode(self, chunk: str, *, offsets: bool) -> tokenizers.Encoding:
        """Encodes a chunk; the library releases the interpreter's lock in batch calls only."""
        with _panics_as_value_errors():
            if len(chunk) <= MAX_LOCKED_LENGTH:
                return self._backend.encode(chunk, add_special_tokens=False)
            encode = self._backend.encode_batch if offsets else self._backend.encode_batch_fast
            return encode([chunk], add_special_tokens=False)[0]

    def _pieces_of(self, chunk: str) -> Iterator[Piece]:
        encoding = self._encode(chunk, offsets=True)
        for token, (begin, end) in zip(encoding.ids, encoding.offsets, strict=True):
            yield Piece(token, chunk[begin:end])

    def _bytes_from(self, surface: str) -> bytes:
        if self.kind != "bpe":
            return surface.encode("utf-8")
        return bytes(BYTE_OF[character] for character in surface)


class Decoder:
    """An incremental decoder that buffers incomplete characters."""

    def __init__(self, tokenizer: Tokenizer, pending: bytes = b"") -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._utf8.decode(pending)

    @property
    def pending(self) -> bytes:
        """The bytes of an incomplete character, at most three."""
        return self._utf8.getstate()[0]

    def push(self, token: int) -> str:
        """The characters that this token completes, possibly none."""
        return self._utf8.decode(self._tokenizer.bytes_of(token))

    def flush(self) -> str:
        """A replacement character if a character is incomplete at the end, else ""."""
        return self._utf8.decode(b"", final=True)


def _check_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text is not valid Unicode: character {error.start} is half of a surrogate pair"
        ) from error


@contextmanager
def _panics_as_value_errors() -> Iterator[None]:
    """The library panics if a regular expression needs too many steps for a text."""
    try:
        with panics_as_errors():
            yield
    except LibraryPanicError as error:
        raise ValueError(
            "the text cannot be split into tokens; send it in shorter parts"
        ) from error


def _chunks(text: str) -> Iterator[str]:
    """Splits a text where no token spans the boundary: before a space between words or after a line
    break. A chunk without such a boundary is split after ``MAX_CHUNK_LENGTH`` characters.
    """
    begin = 0
    while len(text) - begin > MAX_CHUNK_LENGTH:
        boundary = _LAST_BOUNDARY.match(text, begin, begin + MAX_CHUNK_LENGTH)
        end = boundary.end() if boundary else begin + MAX_CHUNK_LENGTH
        yield text[begin:end]
        begin = end
    yield text[begin:]
