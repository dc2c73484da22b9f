"""Documents as a stream of tokens, and what is held out of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.tokenizer import Tokenizer
from model.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from tests.training.made_up_text import text
from training.corpus import build_stream, hold_out, lines_of, looks_pretokenized
from training.language_model_data import make_tokenizer
from training.language_model_recipe import LanguageModelRecipe

SAMPLE = text(200)
TOKENIZERS = {
    "word": train_word_tokenizer([SAMPLE], vocabulary=None),
    "pretokenized": train_word_tokenizer([SAMPLE], vocabulary=None, pretokenized=True),
    "char": train_char_tokenizer([SAMPLE]),
    "bpe": train_bpe_tokenizer([SAMPLE + "\n\n\n  x \n y\n"], vocabulary=280),
}
DOCUMENTS = st.lists(
    st.text(st.sampled_from("ab .\n\t\u00e9\u3000\x85"), min_size=1, max_size=30), min_size=1
)


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@given(documents=DOCUMENTS)
def test_a_stream_holds_every_document_after_an_end(
    tokenizer: Tokenizer, documents: list[str]
) -> None:
    """Encoding line by line gives what encoding whole texts gives, for every kind of tokenizer."""
    stream = build_stream(documents, tokenizer)
    expected = [[tokenizer.end, *tokenizer.encode(text)] for text in documents]
    assert stream.tokens_N.tolist() == [token for document in expected for token in document]
    assert [stream.document(i).tolist() for i in range(len(documents))] == expected
    assert np.array_equal(np.flatnonzero(stream.tokens_N == tokenizer.end), stream.borders_D)


@given(st.text(st.sampled_from("a \n"), max_size=30))
def test_lines_join_to_the_text(content: str) -> None:
    """Nothing is lost at a seam."""
    assert "".join(lines_of(content)) == content


@given(
    documents=st.lists(st.text("ab \n", min_size=1, max_size=60), min_size=1, max_size=40),
    share=st.floats(0.01, 0.5),
)
def test_what_is_held_out_is_the_end_of_the_text(documents: list[str], share: float) -> None:
    """Nothing is lost, doubled or moved."""
    kept, held = hold_out(documents, share)
    assert "".join(kept + held) == "".join(documents)
    if len(documents) > 1 or len(documents[0]) > 1:
        assert kept
        assert held


def test_one_long_document_is_cut_at_a_line() -> None:
    """About as much is held out as was asked for."""
    kept, held = hold_out([text(1000)], 0.05)
    assert kept[0].endswith("\n")
    assert len(held[0]) / len(kept[0] + held[0]) == pytest.approx(0.05, abs=0.01)


def test_of_many_documents_whole_ones_are_held_out() -> None:
    """The last ones."""
    documents = [f"document {index}" for index in range(100)]
    kept, held = hold_out(documents, 0.1)
    assert held == documents[-len(held) :]
    assert 9 <= len(held) <= 11
    assert kept == documents[: -len(held)]


def test_pretokenized_text_is_told_by_its_punctuation() -> None:
    """WikiText puts spaces around marks, prose does not."""
    prose = "He came, saw, and went. Why? Nobody knew; she least of all.\n" * 20
    spaced = prose.replace(",", " ,").replace(".", " . ").replace("?", " ? ").replace(";", " ; ")
    assert looks_pretokenized([spaced])
    assert not looks_pretokenized([prose])
    assert not looks_pretokenized(["no marks at all"])


def test_a_text_that_marks_unknown_words_is_pretokenized() -> None:
    """The Penn Treebank has no marks to tell it by, and its <unk> is one unknown word."""
    treebank = " mr. <unk> is chairman of <unk> n.v. \n rudolph <unk> N years old \n"
    tokenizer = make_tokenizer(LanguageModelRecipe(), [treebank])
    ids = tokenizer.encode(treebank)
    assert len(ids) == len(treebank.split()) + treebank.count("\n")
    assert sum(token == tokenizer.unknown for token in ids) == treebank.count("<unk>")
