"""What a ``tokenizer.json`` may hold: the files that :mod:`model.tokenization.tokenizer_training`
makes.

The library runs whatever such a file says: text can be multiplied, padded without bound, or split
by an expression that never ends. So the file is compared with the few forms below before the
library is given it; only the vocabulary, the merges and the id of [END] are free, and those are
bounded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from model.architecture import LARGEST_VOCABULARY

Kind = Literal["word", "char", "bpe"]
Json = dict[str, object]
END = "[END]"
UNKNOWN = "[UNK]"
LONGEST_TOKEN = 256  # characters; longer words are unknown words

_LETTERS = r"[\p{L}\p{M}\p{N}_]+"
_WORD = rf"{_LETTERS}(?:['’\-]{_LETTERS})*"
_MARK = r"[^\s\p{L}\p{M}\p{N}_]"
WORDS_WITH_SPACES = rf" ?{_WORD}| ?{_MARK}|\s"
BETWEEN_SPACES_WITH_SPACES = r" ?\S+| ?\n|\s"
_CONTRACTION = r"n't\b|'(?:s|re|ve|ll|d|m)\b"
WORDS = rf"{_LETTERS}?(?=n't\b)|{_CONTRACTION}|{_LETTERS}|{_MARK}"
BETWEEN_SPACES = r"\S+"
ANY_CHARACTER = r"[\s\S]"


@dataclass(frozen=True, slots=True)
class Form:
    """The parts of a file that decide how text becomes tokens and tokens become text."""

    kind: Kind
    normalizer: Json | None
    pre_tokenizer: Json
    decoder: Json

    def fits(self, file: Mapping[str, object]) -> bool:
        """Whether the file has these parts."""
        own = (self.normalizer, self.pre_tokenizer, self.decoder)
        return own == tuple(file.get(part) for part in ("normalizer", "pre_tokenizer", "decoder"))


def _split(pattern: str, *, keeps_spaces: bool) -> Json:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated" if keeps_spaces else "Removed",
        "invert": not keeps_spaces,
    }


def _byte_level(*, add_prefix_space: bool) -> Json:
    return {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": True,
    }


_CLASSIFIER_NORMALIZER: Json = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Replace", "pattern": {"String": "’"}, "content": "'"},
        {"type": "Lowercase"},
    ],
}
_FUSE: Json = {"type": "Fuse"}
FORMS = (
    Form("word", None, _split(WORDS_WITH_SPACES, keeps_spaces=True), _FUSE),
    Form("word", None, _split(BETWEEN_SPACES_WITH_SPACES, keeps_spaces=True), _FUSE),
    Form("word", _CLASSIFIER_NORMALIZER, _split(WORDS, keeps_spaces=False), _FUSE),
    Form("word", _CLASSIFIER_NORMALIZER, _split(BETWEEN_SPACES, keeps_spaces=False), _FUSE),
    Form("char", None, _split(ANY_CHARACTER, keeps_spaces=True), _FUSE),
    Form(
        "bpe",
        None,
        _byte_level(add_prefix_space=False),
        _byte_level(add_prefix_space=True),
    ),
)
_FIXED: Json = {"version": "1.0", "truncation": None, "padding": None, "post_processor": None}
_FREE = {"added_tokens", "normalizer", "pre_tokenizer", "decoder", "model"}
_WORD_LEVEL: Json = {"type": "WordLevel", "unk_token": UNKNOWN}
_BPE: Json = {
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
    """A file that was found to be one of ours. ``entries``: the tokens by id, [END] left out."""

    form: Form
    entries: tuple[str, ...]
    text: str  # what was checked, and nothing else: the library may read JSON in another way


def read_tokenizer_file(text: str) -> TokenizerFile:
    """Checks every field; ValueError names the one that is not as training writes it."""
    try:
        file = json.loads(text)
    except RecursionError as error:
        raise ValueError("not JSON: nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(file, dict):
        raise ValueError("expected a JSON object")
    _check_fields(file, "", _FIXED, _FREE)
    form = next((form for form in FORMS if form.fits(file)), None)
    if form is None:
        raise ValueError(
            "normalizer, pre_tokenizer, decoder: expected those of a word, char or bpe tokenizer "
            "that python -m training has made"
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
    """The printable character that byte-level bpe files write for each byte (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + index): byte for index, byte in enumerate(others)}


BYTE_OF = byte_alphabet()


def _check_fields(
    values: Mapping[str, object], place: str, fixed: Mapping[str, object], free: set[str]
) -> None:
    """``fixed``: fields with the one value they must have; ``free``: fields checked elsewhere."""
    for name in sorted(values.keys() - fixed.keys() - free):
        raise ValueError(f"{place}{name}: not a field that training writes")
    for name in sorted((fixed.keys() | free) - values.keys()):
        raise ValueError(f"{place}{name}: missing")
    for name, expected in fixed.items():
        found = values[name]
        if type(found) is not type(expected) or found != expected:
            raise ValueError(
                f"{place}{name}: expected {json.dumps(expected)}, as training writes it"
            )


def _entries(vocab: object) -> tuple[str, ...]:
    """The entries in the order of their ids, which must be 0 and up without a gap."""
    if not isinstance(vocab, dict):
        raise ValueError("model.vocab: expected an object")
    count = len(vocab)
    if not 2 <= count < LARGEST_VOCABULARY:
        raise ValueError(f"model.vocab: expected 2 to {LARGEST_VOCABULARY - 1} tokens, got {count}")
    entries = [""] * count
    for entry, token in vocab.items():
        if type(token) is not int or not 0 <= token < count:
            raise ValueError(f"model.vocab: expected ids from 0 to {count - 1}, got {token!r}")
        entries[token] = entry
    if not all(entries):
        raise ValueError("model.vocab: expected each id once and no empty token")
    return tuple(entries)


def _check_entries(entries: Sequence[str], kind: Kind) -> None:
    if max(map(len, entries)) > LONGEST_TOKEN:
        raise ValueError(f"model.vocab: expected tokens of at most {LONGEST_TOKEN} characters")
    if END in entries:
        raise ValueError(f"model.vocab: {END} must be an added token, not an entry")
    if kind == "bpe":
        if not BYTE_OF.keys() <= set(entries):
            raise ValueError("model.vocab: expected an entry for each of the 256 bytes")
        if any(character not in BYTE_OF for character in set("".join(entries))):
            raise ValueError("model.vocab: expected byte-level entries alone")
        return
    if entries[0] != UNKNOWN:
        raise ValueError(f"model.vocab: {UNKNOWN} must have the id 0")
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
        raise ValueError("model.merges: a pair stands there twice")
    if {one + other for one, other in seen} != {entry for entry in entries if len(entry) > 1}:
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
        raise ValueError(f"added_tokens: expected {END} alone")
    _check_fields(added[0], "added_tokens.", expected, set())
