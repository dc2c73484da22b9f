"""Validation of ``tokenizer.json``: only files as tokenizer training writes them are accepted.

The ``tokenizers`` library executes the file: it can repeat or pad text without bound, or split by a
regular expression that never ends. So the file is compared with the forms below before the
library reads it. Only the vocabulary, the merges and the id of [END] may differ, within bounds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from model.architecture import MAX_VOCABULARY

TokenizerKind = Literal["word", "char", "bpe"]
JsonObject = dict[str, object]
END = "[END]"
UNKNOWN = "[UNK]"
MAX_TOKEN_LENGTH = 256  # characters; a longer word is encoded as [UNK]

_LETTERS = r"[\p{L}\p{M}\p{N}_]+"
_WORD = rf"{_LETTERS}(?:['’\-]{_LETTERS})*"
_MARK = r"[^\s\p{L}\p{M}\p{N}_]"
SPACED_WORD_PATTERN = rf" ?{_WORD}| ?{_MARK}|\s"
SPACED_NONSPACE_PATTERN = r" ?\S+| ?\n|\s"
_CONTRACTION = r"n't\b|'(?:s|re|ve|ll|d|m)\b"
WORD_PATTERN = rf"{_LETTERS}?(?=n't\b)|{_CONTRACTION}|{_LETTERS}|{_MARK}"
NONSPACE_PATTERN = r"\S+"
CHARACTER_PATTERN = r"[\s\S]"


@dataclass(frozen=True, slots=True)
class TokenizerForm:
    """The fields of a file that determine encoding and decoding, apart from the vocabulary."""

    kind: TokenizerKind
    normalizer: JsonObject | None
    pre_tokenizer: JsonObject
    decoder: JsonObject

    def fits(self, file: Mapping[str, object]) -> bool:
        """Whether the file has these fields."""
        expected = (self.normalizer, self.pre_tokenizer, self.decoder)
        names = ("normalizer", "pre_tokenizer", "decoder")
        return expected == tuple(file.get(name) for name in names)


def _split(pattern: str, *, keeps_spaces: bool) -> JsonObject:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated" if keeps_spaces else "Removed",
        "invert": not keeps_spaces,
    }


def _byte_level(*, add_prefix_space: bool) -> JsonObject:
    return {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": True,
    }


_CLASSIFIER_NORMALIZER: JsonObject = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Replace", "pattern": {"String": "’"}, "content": "'"},
        {"type": "Lowercase"},
    ],
}
_FUSE: JsonObject = {"type": "Fuse"}
TOKENIZER_FORMS = (
    TokenizerForm("word", None, _split(SPACED_WORD_PATTERN, keeps_spaces=True), _FUSE),
    TokenizerForm("word", None, _split(SPACED_NONSPACE_PATTERN, keeps_spaces=True), _FUSE),
    TokenizerForm("word", _CLASSIFIER_NORMALIZER, _split(WORD_PATTERN, keeps_spaces=False), _FUSE),
    TokenizerForm(
        "word", _CLASSIFIER_NORMALIZER, _split(NONSPACE_PATTERN, keeps_spaces=False), _FUSE
    ),
    TokenizerForm("char", None, _split(CHARACTER_PATTERN, keeps_spaces=True), _FUSE),
    TokenizerForm(
        "bpe",
        None,
        _byte_level(add_prefix_space=False),
        _byte_level(add_prefix_space=True),
    ),
)
_FIXED: JsonObject = {"version": "1.0", "truncation": None, "padding": None, "post_processor": None}
_FREE = {"added_tokens", "normalizer", "pre_tokenizer", "decoder", "model"}
_WORD_LEVEL: JsonObject = {"type": "WordLevel", "unk_token": UNKNOWN}
_BPE: JsonObject = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """A valid file. ``entries``: the tokens by id without [END]."""

    form: TokenizerForm
    entries: tuple[str, ...]
    text: str  # the checked values, serialized again: the library may parse JSON differently


def read_tokenizer_file(text: str) -> TokenizerFile:
    """Parses and checks the text of a file. Raises ValueError, which names the invalid field."""
    try:
        file = json.loads(text)
    except RecursionError as error:
        raise ValueError("not JSON: nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(file, dict):
        raise ValueError("expected a JSON object")
    _check_fields(file, "", _FIXED, _FREE)
    form = next((form for form in TOKENIZER_FORMS if form.fits(file)), None)
    if form is None:
        raise ValueError(
            "normalizer, pre_tokenizer, decoder: expected those of a word, char or bpe tokenizer "
            "made by python -m training"
        )
    model = file["model"]
    if not isinstance(model, dict):
        raise ValueError("model: expected an object")
    if form.kind == "bpe":
        _check_fields(model, "model.", _BPE, {"vocab", "merges"})
    else:
        _check_fields(model, "model.", _WORD_LEVEL, {"vocab"})
    entries = _entries(model["vocab"])
    _check_entries(entries, form.kind)
    if form.kind == "bpe":
        _check_merges(model["merges"], frozenset(entries))
    _check_added(file["added_tokens"], len(entries))
    return TokenizerFile(form, entries, json.dumps(file))


def byte_alphabet() -> dict[str, int]:
    """The byte for each printable character in byte-level bpe files (the table of GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + index): byte for index, byte in enumerate(others)}


BYTE_OF = byte_alphabet()


def _check_fields(
    values: Mapping[str, object], place: str, fixed: Mapping[str, object], free: set[str]
) -> None:
    """``fixed``: fields and their required values; ``free``: fields that are checked elsewhere."""
    for name in sorted(values.keys() - fixed.keys() - free):
        raise ValueError(f"{place}{name}: unknown field")
    for name in sorted((fixed.keys() | free) - values.keys()):
        raise ValueError(f"{place}{name}: missing")
    for name, expected in fixed.items():
        value = values[name]
        if type(value) is not type(expected) or value != expected:
            raise ValueError(f"{place}{name}: expected {json.dumps(expected)}")


def _entries(vocab: object) -> tuple[str, ...]:
    """The entries in the order of their ids, which must be contiguous from 0."""
    if not isinstance(vocab, dict):
        raise ValueError("model.vocab: expected an object")
    count = len(vocab)
    if not 2 <= count < MAX_VOCABULARY:
        raise ValueError(f"model.vocab: expected 2 to {MAX_VOCABULARY - 1} tokens, got {count}")
    entries = [""] * count
    for entry, token in vocab.items():
        if type(token) is not int or not 0 <= token < count:
            raise ValueError(f"model.vocab: expected ids from 0 to {count - 1}, got {token!r}")
        entries[token] = entry
    if not all(entries):
        raise ValueError("model.vocab: expected each id once and no empty token")
    return tuple(entries)


def _check_entries(entries: Sequence[str], kind: TokenizerKind) -> None:
    if max(map(len, entries)) > MAX_TOKEN_LENGTH:
        raise ValueError(f"model.vocab: expected tokens of at most {MAX_TOKEN_LENGTH} characters")
    if END in entries:
        raise ValueError(f"model.vocab: {END} must be an added token, not an entry")
    if kind == "bpe":
        if not BYTE_OF.keys() <= set(entries):
            raise ValueError("model.vocab: expected an entry for each of the 256 bytes")
        if any(character not in BYTE_OF for character in set("".join(entries))):
            raise ValueError("model.vocab: expected byte-level entries only")
        return
    if entries[0] != UNKNOWN:
        raise ValueError(f"model.vocab: expected {UNKNOWN} with id 0")
    if kind == "char" and any(len(entry) != 1 for entry in entries[1:]):
        raise ValueError("model.vocab: expected entries of one character")


def _check_merges(merges: object, entries: frozenset[str]) -> None:
    if not isinstance(merges, list):
        raise ValueError("model.merges: expected a list")
    seen: set[tuple[str, str]] = set()
    for merge in merges:
        if not (
            isinstance(merge, list)
            and len(merge) == 2
            and all(isinstance(part, str) and part in entries for part in merge)
            and "".join(merge) in entries
        ):
            raise ValueError("model.merges: expected pairs of tokens whose join is a token")
        seen.add((merge[0], merge[1]))
    if len(seen) < len(merges):
        raise ValueError("model.merges: expected each pair once")
    if {left + right for left, right in seen} != {entry for entry in entries if len(entry) > 1}:
        raise ValueError("model.merges: expected a merge for each token of more than one byte")


def _check_added(added: object, end: int) -> None:
    expected = {
        "id": end,
        "content": END,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    if not isinstance(added, list) or len(added) != 1 or not isinstance(added[0], dict):
        raise ValueError(f"added_tokens: expected {END} only")
    _check_fields(added[0], "added_tokens.", expected, set())
