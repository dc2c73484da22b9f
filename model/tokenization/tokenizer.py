"""Text to token ids and back: word, char and bpe tokenizers in one class over Hugging Face files.

A ``tokenizer.json`` made by :mod:`model.tokenization.tokenizer_training` is complete: splitting
rules, vocabulary, special tokens. Every kind has ``[END]`` as its last id; word and char have
``[UNK]`` as id 0, bpe falls back to bytes and needs none. Text typed by a user can never produce
``[END]``. Knows no network. The library is ``tokenizers``: its files are read everywhere and it is
fast.
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
    Kind,
    TokenizerFile,
    read_tokenizer_file,
)

LARGEST_FILE = 2**26  # bytes
__all__ = ["END", "UNKNOWN", "Decoder", "Kind", "Piece", "Tokenizer"]
LONGEST_CHUNK = 2**14
"""Characters that the library is given at once: what it keeps for each token is heavy."""
KEEPS_LOCK = 2**10
"""Characters that are encoded so quickly that giving up the interpreter's lock costs more."""
_LAST_BORDER = re.compile(r".*(?:\S(?= \S)|\S\n(?=\S))", re.DOTALL)


class Piece(NamedTuple):
    """A token and the very characters of the text it stands for."""

    id: int
    text: str


class Tokenizer:
    """Encodes and decodes; see :mod:`model.tokenization.tokenizer_training` for how one is made.

    ``size`` counts all ids, ``end`` is the id of [END], ``unknown`` that of [UNK] (None for bpe),
    ``never_drawn`` the ids a generator must not draw. ``lossless`` tokenizers give back what they
    read; the others (for classifiers) lower-case and drop white space.
    """

    def __init__(self, file: TokenizerFile) -> None:
        try:
            with panics_as_errors():
                self._backend = tokenizers.Tokenizer.from_str(file.text)
        except Exception as error:  # the library raises plain Exception
            raise ValueError(f"not a tokenizer file: {error}") from error
        self._backend.encode_special_tokens = True  # "[END]" in a text is text, not the end of it
        self.kind: Kind = file.form.kind
        self.lossless = file.form.normalizer is None
        self.size = len(file.entries) + 1
        self.end = len(file.entries)
        self.unknown = None if self.kind == "bpe" else file.entries.index(UNKNOWN)
        self.never_drawn = frozenset(() if self.unknown is None else (self.unknown,))
        self._texts_V = [*map(self._bytes_from, file.entries), b""]
        self._longest_token = max(map(len, self._texts_V))
        self._id_of_character = self._characters() if self._is_plain_char else {}

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """A tokenizer from the text of its file; ValueError says what is wrong with it."""
        return cls(read_tokenizer_file(text))

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Reads a tokenizer file; raises ArtifactError naming it when it cannot be used."""
        try:
            return cls.from_json(read_file(path, LARGEST_FILE).decode())
        except ValueError as error:
            raise ArtifactError(path, str(error)) from error

    def save(self, path: Path) -> None:
        """Writes the file that :meth:`load` reads."""
        path.write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """The text of the tokenizer's file."""
        return self._backend.to_str(pretty=True)

    def encode(self, text: str, most: int | None = None) -> list[int]:
        """Token ids of a text, without [END]. ValueError for text that is not valid Unicode.

        ``most``: encoding ends once there are more ids than this, so that a longer text costs no
        more. A stretch of more than ``LONGEST_CHUNK`` characters without a space or a line's end
        is encoded in parts.
        """
        _check_unicode(text)
        if self._is_plain_char:
            return self._encode_characters(text if most is None else text[: most + 1])
        ids: list[int] = []
        for chunk in _chunks(text):
            ids += self._encode(chunk, offsets=False).ids
            if most is not None and len(ids) > most:
                break
        return ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Token ids of many texts at once, in parallel where there are cores."""
        for text in texts:
            _check_unicode(text)
        with _panics_as_refusals():
            encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def pieces(self, text: str, most: int | None = None) -> list[Piece]:
        """Tokens with the characters they stand for; for lossless kinds these join to the text.

        Of a character spelt with several bpe tokens, the last one carries the text. ``most``: as
        in :meth:`encode`.
        """
        if self.kind == "bpe":
            decoder = self.decoder()
            return [Piece(token, decoder.push(token)) for token in self.encode(text, most)]
        if self._is_plain_char:
            return list(map(Piece, self.encode(text, most), text))
        _check_unicode(text)
        found = itertools.chain.from_iterable(map(self._pieces_of, _chunks(text)))
        return list(itertools.islice(found, None if most is None else most + 1))

    def at_least(self, text: str) -> int:
        """A number of tokens that the text certainly has, told without encoding it."""
        if self._is_plain_char:
            return len(text)
        if self.kind == "bpe":
            return -(-len(text) // self._longest_token)
        return text.count(" ") if self.lossless else 0  # a token holds one at most, its first

    def text_of(self, token: int) -> str:
        """The text one token stands for: "" for [END], "[UNK]" for the unknown word."""
        return self._texts_V[token].decode("utf-8", errors="replace")

    def bytes_of(self, token: int) -> bytes:
        """The same in UTF-8; a bpe token may hold only part of a character."""
        return self._texts_V[token]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of a sequence of tokens. Ids out of range raise IndexError."""
        return b"".join(self._texts_V[token] for token in tokens).decode("utf-8", errors="replace")

    def decoder(self, pending: bytes = b"") -> Decoder:
        """A decoder for text that arrives token by token, after ``pending`` of another one."""
        return Decoder(self, pending)

    def vocabulary(self) -> list[str]:
        """The texts of all tokens, in order of their ids."""
        return [self.text_of(token) for token in range(self.size)]

    @property
    def _is_plain_char(self) -> bool:
        """Whether each character is looked up as it is, which needs no library."""
        return self.kind == "char" and self.lossless

    def _characters(self) -> dict[str, int]:
        texts = {self.text_of(token): token for token in range(self.size)}
        return {text: token for text, token in texts.items() if len(text) == 1}

    def _encode_characters(self, text: str) -> list[int]:
        id_of, unknown = self._id_of_character, cast("int", self.unknown)
        return [id_of.get(character, unknown) for character in text]

    def _encode(self, chunk: str, *, offsets: bool) -> tokenizers.Encoding:
        """Only the calls for batches give up the interpreter's lock."""
        with _panics_as_refusals():
            if len(chunk) <= KEEPS_LOCK:
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
    """Turns tokens into text as they come, holding back what is not yet a whole character."""

    def __init__(self, tokenizer: Tokenizer, pending: bytes = b"") -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._utf8.decode(pending)

    @property
    def pending(self) -> bytes:
        """The bytes of a character that is not whole yet: three at most."""
        return self._utf8.getstate()[0]

    def push(self, token: int) -> str:
        """The text that became certain with this token, possibly none."""
        return self._utf8.decode(self._tokenizer.bytes_of(token))

    def flush(self) -> str:
        """What was held back when no more tokens come: a replacement character, or nothing."""
        return self._utf8.decode(b"", final=True)


def _check_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text is not valid Unicode: character {error.start} is half of a surrogate pair"
        ) from error


@contextmanager
def _panics_as_refusals() -> Iterator[None]:
    """An expression that needs too many steps for a text makes the library panic."""
    try:
        with panics_as_errors():
            yield
    except LibraryPanicError as error:
        raise ValueError(
            "the text cannot be split into tokens; send it in shorter parts"
        ) from error


def _chunks(text: str) -> Iterator[str]:
    """Parts of a text, cut where no tokenizer joins what stands on the two sides: before a space
    between words, after a line's end. A stretch without such a place is cut anywhere.
    """
    begin = 0
    while len(text) - begin > LONGEST_CHUNK:
        border = _LAST_BORDER.match(text, begin, begin + LONGEST_CHUNK)
        end = border.end() if border else begin + LONGEST_CHUNK
        yield text[begin:end]
        begin = end
    yield text[begin:]
