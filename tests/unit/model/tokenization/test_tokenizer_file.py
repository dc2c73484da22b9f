"""Only tokenizer files in the form that training writes are accepted."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_file import MAX_TOKEN_LENGTH
from model.tokenization.tokenizer_training import (
    extend_tokenizer,
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from tests.support.repository import ROOT

CORPUS = "The keys don't fit, it's the door. ’ é 北京\n" * 3


def word(**more: bool) -> Tokenizer:
    """A word tokenizer with the given options."""
    return train_word_tokenizer([CORPUS], vocabulary=None, **more)


TOKENIZERS = {
    "word": word(),
    "word between spaces": word(pretokenized=True),
    "classifier": word(lossless=False),
    "classifier between spaces": word(lossless=False, pretokenized=True),
    "char": train_char_tokenizer([CORPUS]),
    "bpe": train_bpe_tokenizer([CORPUS], vocabulary=275),
    "extended": extend_tokenizer(word(), ["more words"], vocabulary=None, minimum_count=1),
}
OTHER_VALUES: tuple[Any, ...] = (None, True, False, 0, -1, 2**40, 1.5, "", "x" * 70, [], {}, [{}])
Place = tuple[str | int, ...]


def file_of(name: str) -> dict[str, Any]:
    """The file of one of the tokenizers, as JSON."""
    file: dict[str, Any] = json.loads(TOKENIZERS[name].to_json())
    return file


def read(file: object) -> Tokenizer:
    """The tokenizer of a JSON value."""
    return Tokenizer.from_json(json.dumps(file))


def places(value: object, place: Place = ()) -> Iterator[Place]:
    """Every position of a JSON value; of vocabulary and merges only two entries."""
    if place:
        yield place
    if isinstance(value, dict | list):
        parts = list(value.items() if isinstance(value, dict) else enumerate(value))
        if place[-1:] in {("vocab",), ("merges",)}:
            parts = parts[:2]
        for key, part in parts:
            yield from places(part, (*place, key))


def value_at(file: Any, place: Place) -> Any:
    """The value at a position."""
    for key in place:
        file = file[key]
    return file


def same_json(first: object, other: object) -> bool:
    """Whether two values are equal as JSON, where 0 is not false."""
    return json.dumps(first) == json.dumps(other)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_files_of_training_are_accepted(name: str) -> None:
    """A tokenizer of each kind and option round-trips."""
    made = TOKENIZERS[name]
    read_back = read(file_of(name))
    assert read_back.vocabulary() == made.vocabulary()
    assert read_back.encode(CORPUS) == made.encode(CORPUS)
    assert read_back.to_json() == made.to_json()


@pytest.mark.parametrize("path", sorted(ROOT.glob("pretrained/*/tokenizer.json")), ids=str)
def test_the_pretrained_tokenizers_are_accepted(path: Path) -> None:
    """The tokenizers of the pretrained models are valid."""
    assert Tokenizer.load(path).size > 2


@pytest.mark.parametrize("name", ["word", "classifier", "char", "bpe"])
def test_any_changed_field_is_refused(name: str) -> None:
    """Another value at any place of the file, a field less or a field more: ValueError, never a
    tokenizer and never another exception.
    """
    file = file_of(name)
    for place in places(file):
        parent, key = place[:-1], place[-1]
        for other in OTHER_VALUES:
            if same_json(value_at(file, place), other):
                continue
            changed = copy.deepcopy(file)
            value_at(changed, parent)[key] = other
            with pytest.raises(ValueError, match=r".: .|expected"):
                read(changed)
        without = copy.deepcopy(file)
        del value_at(without, parent)[key]
        with pytest.raises(ValueError, match=r".: .|expected"):
            read(without)
        if isinstance(value_at(file, place), dict) and key != "vocab":
            more = copy.deepcopy(file)
            value_at(more, place)["more"] = None
            with pytest.raises(ValueError, match=r".: .|expected"):
                read(more)


HOSTILE: list[tuple[str, Place, Any]] = [
    ("word", ("padding",), {"strategy": {"Fixed": 2**40}, "pad_id": 7}),
    ("word", ("truncation",), {"max_length": 1, "strategy": "LongestFirst", "stride": 0}),
    ("classifier", ("normalizer", "normalizers", 0, "content"), "’" * 1000),
    ("classifier", ("normalizer", "normalizers", 0, "pattern"), {"Regex": "(a|a)*b"}),
    ("char", ("normalizer",), {"type": "Prepend", "prepend": "x" * 10**6}),
    ("char", ("normalizer",), {"type": "NFKD"}),
    ("word", ("pre_tokenizer", "pattern", "Regex"), r"(a|a)*b"),
    ("word", ("pre_tokenizer", "pattern", "Regex"), "["),
    ("word", ("pre_tokenizer",), {"type": "Sequence", "pretokenizers": []}),
    ("bpe", ("decoder",), {"type": "Replace", "pattern": {"String": "a"}, "content": "b" * 10**6}),
    ("bpe", ("model", "dropout"), 0.5),
    ("bpe", ("model", "continuing_subword_prefix"), "##"),
    ("bpe", ("model", "merges", 0), ["missing", "parts"]),
    ("bpe", ("model", "merges", 0), "a b"),
    ("bpe", ("model", "vocab", "a b"), 274),
    ("word", ("added_tokens", 0, "special"), False),
    ("word", ("added_tokens", 0, "normalized"), True),
    ("word", ("added_tokens", 0, "id"), 3),
    ("word", ("post_processor",), {"type": "TemplateProcessing"}),
    ("word", ("model", "unk_token"), "[END]"),
    ("word", ("model", "vocab", "[END]"), 1),
    ("word", ("model", "vocab", "\ud800"), 1),
    ("word", ("model", "vocab", "x" * (MAX_TOKEN_LENGTH + 1)), 1),
    ("char", ("model", "vocab", "two"), 1),
]


@pytest.mark.parametrize(("name", "place", "value"), HOSTILE)
def test_harmful_files_are_refused(name: str, place: Place, value: object) -> None:
    """Files that repeat text, never end, or encode text as a control token are refused."""
    changed = file_of(name)
    parent = value_at(changed, place[:-1])
    parent[place[-1]] = value
    if place[-2:-1] == ("vocab",):  # a vocabulary that has no other fault
        end = changed["added_tokens"][0]["id"]
        parent[place[-1]] = end
        changed["added_tokens"][0]["id"] = end + 1
    with pytest.raises(ValueError, match=r".: ."):
        read(changed)


@pytest.mark.parametrize("text", ["[" * 10**6, '{"a":' * 10**5, "[1" * 990, "\x00", "1" * 5000])
def test_invalid_json_is_refused(text: str) -> None:
    """Excessive nesting and excessively long numbers are refused."""
    with pytest.raises(ValueError, match=r"JSON|expected|digits"):
        Tokenizer.from_json(text)


def test_the_library_reads_the_checked_values() -> None:
    """Of a field given twice the library reads the checked value, since JSON parsers differ."""
    text = TOKENIZERS["word"].to_json()
    evil = '"padding": {"strategy": {"Fixed": 1000000}},\n  "padding": null,'
    tokenizer = Tokenizer.from_json(text.replace('"padding": null,', evil))
    assert len(tokenizer.encode("keys")) == 1


def test_a_panic_of_the_library_is_a_value_error() -> None:
    """A regular expression that needs too many steps makes the library panic: ValueError."""
    tokenizer = TOKENIZERS["classifier"]
    text = "a" * 10_100_000
    with pytest.raises(ValueError, match="shorter parts"):
        tokenizer.encode_batch([text])
    assert tokenizer.encode(text)  # given to the library in parts


def test_too_long_words_are_unknown() -> None:
    """A word of more than MAX_TOKEN_LENGTH characters is encoded as [UNK]."""
    long = "x" * (MAX_TOKEN_LENGTH + 1)
    texts = [f"{long} {long} short short"]
    for tokenizer in (
        train_word_tokenizer(texts, vocabulary=None, lossless=False),
        extend_tokenizer(word(lossless=False), texts, vocabulary=None, minimum_count=1),
        train_bpe_tokenizer(["ab" * 5000, CORPUS], vocabulary=290),
    ):
        assert max(map(len, tokenizer.vocabulary())) <= MAX_TOKEN_LENGTH
        assert len(tokenizer.encode("short")) >= 1
