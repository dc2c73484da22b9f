"""Long texts: encoding in chunks and up to a number of tokens gives the same result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.tokenization import tokenizer as tokenizer_module
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)

CORPUS = "The keys aren't here;\n\n they're  in the well-known box.\tNaïve 漢字 12 " * 3
TOKENIZERS = {
    "word": train_word_tokenizer([CORPUS], vocabulary=None),
    "classifier": train_word_tokenizer([CORPUS], vocabulary=None, lossless=False),
    "pretokenized": train_word_tokenizer([CORPUS], vocabulary=None, pretokenized=True),
    "char": train_char_tokenizer([CORPUS]),
    "bpe": train_bpe_tokenizer([CORPUS], vocabulary=280),
}
PARTS = [
    *(" ", "  ", "\n", "\n\n", " \n", "\r\n", "\t", "\u00a0", "\u3000", "\x1c", "\x85"),
    *("a", "The", "keys", "don't", "n't", "'s", "’", "-", ".", ",", "12", "_", "É", "e\u0301"),
    *("👩\u200d👩", "漢字", "[END]", "[UNK]"),
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=60).map("".join)
every_tokenizer = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Splits short texts into chunks, too."""
    monkeypatch.setattr(tokenizer_module, "MAX_CHUNK_LENGTH", 24)


@every_tokenizer
@given(text=TEXTS)
def test_chunks_have_the_tokens_of_the_whole(tokenizer: Tokenizer, text: str) -> None:
    """A text that is encoded in parts has the tokens that the library finds in the whole of it,
    except where a stretch without a border is longer than a part.
    """
    chunks = list(tokenizer_module._chunks(text))
    assert "".join(chunks) == text
    if all(len(chunk) < 24 for chunk in chunks[:-1]):
        whole = tokenizer._backend.encode(text, add_special_tokens=False)
        assert tokenizer.encode(text) == whole.ids


@every_tokenizer
@given(text=TEXTS, most=st.integers(0, 40))
def test_max_tokens_ends_early_and_changes_nothing_else(
    tokenizer: Tokenizer, text: str, most: int
) -> None:
    """With ``max_tokens`` the first tokens are returned, more than that many only if the text has
    more; ``at_least`` never exceeds the number of tokens.
    """
    ids, pieces = tokenizer.encode(text), tokenizer.pieces(text)
    assert [piece.id for piece in pieces] == ids
    for some in (
        tokenizer.encode(text, most),
        [piece.id for piece in tokenizer.pieces(text, most)],
    ):
        assert some == ids[: len(some)]
        assert (len(some) > most) == (len(ids) > most)
    assert tokenizer.at_least(text) <= len(ids)


@every_tokenizer
def test_text_without_boundaries_is_split(tokenizer: Tokenizer) -> None:
    """A long word, or long white space, is encoded in parts, and no character is lost."""
    for text in ("a" * 100, " " * 100, "a-" * 100, "e\u0301" * 100):
        pieces = tokenizer.pieces(text)
        if tokenizer.lossless:
            assert "".join(piece.text for piece in pieces) == text
        assert [piece.id for piece in pieces] == tokenizer.encode(text)
