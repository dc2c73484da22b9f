"""Tokenizers: encoding round-trips, and no text is encoded as a control token."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import ArtifactError, VocabularyError
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)

CORPUS = (
    "The keys to the cabinet by the door on the left are old. It's well-known, isn't it?\n"
    "“Yes”, she said; \té 北京 🙂 [END] and [UNK] are just text here. 1,000.5 <unk>\n"
) * 3

WORD = train_word_tokenizer([CORPUS], vocabulary=None)
BETWEEN_SPACES = train_word_tokenizer([CORPUS], vocabulary=None, pretokenized=True)
CHAR = train_char_tokenizer([CORPUS])
BPE = train_bpe_tokenizer([CORPUS], vocabulary=300)
LOSSLESS = [WORD, BETWEEN_SPACES, CHAR, BPE]
CLASSIFIER = train_word_tokenizer([CORPUS], vocabulary=None, lossless=False)

anything = st.text(max_size=60) | st.text(
    alphabet="the keys\n\r\t [END]UNK'-.,é🙂\x00", max_size=60
)


@pytest.mark.parametrize("tokenizer", LOSSLESS, ids=["word", "spaces", "char", "bpe"])
@given(text=anything)
def test_pieces_join_to_the_text(tokenizer: Tokenizer, text: str) -> None:
    """The pieces of a lossless tokenizer join to the text, for arbitrary Unicode."""
    pieces = tokenizer.pieces(text)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.id for piece in pieces] == tokenizer.encode(text)


@given(text=anything)
def test_bpe_round_trips(text: str) -> None:
    """Byte-level bpe round-trips arbitrary Unicode, whole and token by token."""
    tokens = BPE.encode(text)
    assert BPE.decode(tokens) == text
    decoder = BPE.decoder()
    assert "".join(decoder.push(token) for token in tokens) + decoder.flush() == text


@pytest.mark.parametrize("tokenizer", [WORD, BETWEEN_SPACES, CHAR], ids=["word", "spaces", "char"])
@given(data=st.data())
def test_known_tokens_round_trip(tokenizer: Tokenizer, data: st.DataObject) -> None:
    """Text without unknown words round-trips; unknown words are decoded as [UNK]."""
    known = st.sampled_from(range(1, tokenizer.end))
    text = tokenizer.decode(data.draw(st.lists(known, max_size=20)))
    tokens = tokenizer.encode(text)
    expected = "".join(
        "[UNK]" if piece.id == tokenizer.unknown else piece.text for piece in tokenizer.pieces(text)
    )
    assert tokenizer.decode(tokens) == expected
    if tokenizer.unknown not in tokens:
        assert tokenizer.decode(tokens) == text


@pytest.mark.parametrize("tokenizer", [*LOSSLESS, CLASSIFIER])
@given(text=anything)
def test_no_text_is_encoded_as_end(tokenizer: Tokenizer, text: str) -> None:
    """No text, "[END]" included, encodes to the end token; a batch encodes like its texts."""
    texts = [text, "[END]", text + "[END]", " [END]"]
    encoded = [tokenizer.encode(each) for each in texts]
    assert tokenizer.end not in {token for tokens in encoded for token in tokens}
    assert tokenizer.encode_batch(texts) == encoded


@pytest.mark.parametrize("tokenizer", [*LOSSLESS, CLASSIFIER])
def test_a_file_gives_the_same_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A tokenizer has the same kind, ids and texts after saving and loading."""
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert (loaded.kind, loaded.lossless, loaded.size, loaded.end, loaded.unknown) == (
        tokenizer.kind,
        tokenizer.lossless,
        tokenizer.size,
        tokenizer.end,
        tokenizer.unknown,
    )
    assert loaded.vocabulary() == tokenizer.vocabulary()
    assert loaded.encode(CORPUS) == tokenizer.encode(CORPUS)


def test_control_tokens_have_fixed_ids() -> None:
    """[UNK] is id 0 and never generated, [END] is the last id and has no text; bpe has no [UNK]."""
    assert WORD.suppressed == {0} == CHAR.suppressed
    assert BPE.suppressed == frozenset()
    assert BPE.unknown is None
    for tokenizer in LOSSLESS:
        assert tokenizer.end == tokenizer.size - 1
        assert tokenizer.text_of(tokenizer.end) == ""


def test_words_keep_case_space_and_inner_marks() -> None:
    """A word includes its leading space, apostrophes and hyphens; punctuation marks are tokens."""
    texts = [piece.text for piece in WORD.pieces("It's well-known, Isn't it?")]
    assert texts == ["It's", " well-known", ",", " Isn't", " it", "?"]
    assert WORD.encode(" Isn't") == [WORD.unknown]  # only isn't was seen


def test_pretokenized_text_is_split_at_spaces_only() -> None:
    """Pretokenized marks such as @-@ stay one token; line breaks are tokens."""
    tokenizer = train_word_tokenizer([" a role @-@ playing \n"], vocabulary=None, pretokenized=True)
    texts = [piece.text for piece in tokenizer.pieces(" a role @-@ playing \n")]
    assert texts == [" a", " role", " @-@", " playing", " \n"]


def test_the_corpus_word_for_unknown_becomes_unknown() -> None:
    """<unk> in a corpus is encoded as [UNK] and is no entry of the vocabulary."""
    tokenizer = train_word_tokenizer([" a <unk> b <unk>"], vocabulary=None, pretokenized=True)
    assert tokenizer.encode(" a <unk>") == [tokenizer.encode(" a")[0], tokenizer.unknown]
    assert " <unk>" not in tokenizer.vocabulary()


def test_classifier_words_are_lower_case_without_spaces() -> None:
    """A classifier reads "The Keys." as it reads "the keys ."."""
    assert CLASSIFIER.encode("The  Keys.") == CLASSIFIER.encode("the keys .")
    assert [piece.text for piece in CLASSIFIER.pieces("The  Keys.")] == ["The", "Keys", "."]


def test_vocabulary_is_the_most_frequent() -> None:
    """The most frequent words are kept, ties by spelling; rare ones are left out."""
    tokenizer = train_word_tokenizer(["b b b a a c d"], vocabulary=5)
    assert tokenizer.vocabulary() == ["[UNK]", " a", " b", " c", ""]
    tokenizer = train_word_tokenizer([" b b b a a c d"], vocabulary=None, minimum_count=2)
    assert tokenizer.vocabulary() == ["[UNK]", " b", " a", ""]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (lambda: train_word_tokenizer(["a b"], vocabulary=10), "request 4 or fewer"),
        (lambda: train_word_tokenizer([""], vocabulary=None), "give more text"),
        (lambda: train_char_tokenizer(["ab"], vocabulary=10), "request 4 or fewer"),
        (lambda: train_bpe_tokenizer(["ab"], vocabulary=100), "at least 258"),
        (lambda: train_bpe_tokenizer(["ab ab"], vocabulary=5000), "give more text"),
        (lambda: train_word_tokenizer(["a b"], vocabulary=2), "at least 3"),
    ],
)
def test_impossible_vocabularies_are_refused(train: object, message: str) -> None:
    """A vocabulary that the data does not contain is refused with a remedy."""
    assert callable(train)
    with pytest.raises(VocabularyError, match=message):
        train()


@pytest.mark.parametrize("tokenizer", LOSSLESS)
def test_half_a_surrogate_pair_is_refused(tokenizer: Tokenizer) -> None:
    """Text that is not valid Unicode raises ValueError, alone and in a batch."""
    for call in (lambda: tokenizer.encode("a\ud800"), lambda: tokenizer.encode_batch(["\udfff"])):
        with pytest.raises(ValueError, match="surrogate"):
            call()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        CHAR.to_json()[:-40],
        CHAR.to_json().replace("[END]", "[STOP]"),
        WORD.to_json().replace('"[UNK]": 0', '"[UNK]": 1'),
        CHAR.to_json().replace("WordLevel", "WordPiece"),
    ],
)
def test_a_damaged_file_is_refused_by_name(text: str, tmp_path: Path) -> None:
    """A file that is no valid tokenizer raises ArtifactError with its path."""
    path = tmp_path / "tokenizer.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        Tokenizer.load(path)


def test_the_decoder_buffers_incomplete_characters() -> None:
    """A character of several tokens comes with the last one; an incomplete one is replaced."""
    tokens = BPE.encode("🦉")
    assert len(tokens) > 1
    decoder = BPE.decoder()
    assert [decoder.push(token) for token in tokens] == [""] * (len(tokens) - 1) + ["🦉"]
    decoder.push(tokens[0])
    assert decoder.flush() == "\N{REPLACEMENT CHARACTER}"


@given(st.lists(st.lists(st.integers(0, BPE.size - 1), max_size=12), max_size=4))
def test_decoders_share_nothing_but_known_texts(sequences: list[list[int]]) -> None:
    """Any tokens, also parts of characters, decode as their bytes do, in every order."""
    for tokens in sequences:
        decoder = BPE.decoder()
        text = "".join(map(decoder.push, tokens)) + decoder.flush()
        assert text == BPE.decode(tokens)
