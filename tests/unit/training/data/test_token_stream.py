"""Documents as a stream of tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from tests.support.training.synthetic_corpus import text
from training.config.language_model import LanguageModelRecipe
from training.data import token_stream
from training.data.corpus import train_language_model_tokenizer
from training.data.token_stream import (
    build_stream,
    encode_parts,
    looks_pretokenized,
    split_lines,
    split_pieces,
)
from training.readers.documents import DocumentPart

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
    assert "".join(split_lines(content)) == content


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@given(documents=DOCUMENTS, cuts=st.integers(1, 7), longest=st.integers(1, 40))
def test_a_document_that_comes_in_parts_has_the_same_tokens(
    tokenizer: Tokenizer, documents: list[str], cuts: int, longest: int
) -> None:
    """Wherever the parts were cut; a line too long for the memory is cut between words."""
    expected = build_stream(documents, tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_stream, "MAX_PIECE_LENGTH", longest)
        patch.setattr(token_stream, "BATCH_CHARACTERS", 10)
        parts = [
            DocumentPart(text[begin : begin + cuts], opens=begin == 0)
            for text in documents
            for begin in range(0, len(text), cuts)
        ]
        batches = list(encode_parts(parts, tokenizer))
        whole = "".join(piece.text for piece in split_pieces(parts))
    assert whole == "".join(documents)
    assert sum(batch.characters for batch in batches) == len(whole)
    if longest > 30 or tokenizer.kind == "char":  # no word is longer
        tokens = np.concatenate([batch.tokens_N for batch in batches])
        assert tokens.tolist() == expected.tokens_N.tolist()


def test_a_line_without_end_is_read_in_pieces() -> None:
    """A line of any length is read in pieces and gives the same tokens."""
    line = text(4000).replace("\n", " ")
    parts = [DocumentPart(line[i : i + 9000], opens=i == 0) for i in range(0, len(line), 9000)]
    pieces = list(split_pieces(parts))
    assert max(len(piece.text) for piece in pieces) <= token_stream.MAX_PIECE_LENGTH + 9000
    assert len(pieces) > 1
    for tokenizer in (TOKENIZERS["word"], TOKENIZERS["bpe"]):
        tokens = np.concatenate([batch.tokens_N for batch in encode_parts(parts, tokenizer)])
        assert tokens.tolist() == [tokenizer.end, *tokenizer.encode(line)]


def test_tokens_are_counted() -> None:
    """Those that do not occur, too."""
    stream = build_stream(["a a b", "c"], train_char_tokenizer(["aaaabbbcc d"]))
    counts = stream.counts(10)
    assert counts.sum() == len(stream)
    assert counts.tolist() == np.bincount(stream.tokens_N, minlength=10).tolist()


def test_pretokenized_text_is_recognized_by_its_punctuation() -> None:
    """WikiText puts spaces around marks, prose does not."""
    prose = "He came, saw, and went. Why? Nobody knew; she least of all.\n" * 20
    spaced = prose.replace(",", " ,").replace(".", " . ").replace("?", " ? ").replace(";", " ; ")
    assert looks_pretokenized([spaced])
    assert not looks_pretokenized([prose])
    assert not looks_pretokenized(["no marks at all"])


def test_a_text_that_marks_unknown_words_is_pretokenized() -> None:
    """The Penn Treebank is recognized without marks, and its <unk> is one unknown word."""
    treebank = " mr. <unk> is chairman of <unk> n.v. \n rudolph <unk> N years old \n"
    tokenizer = train_language_model_tokenizer(LanguageModelRecipe(), [treebank])
    ids = tokenizer.encode(treebank)
    assert len(ids) == len(treebank.split()) + treebank.count("\n")
    assert sum(token == tokenizer.unknown for token in ids) == treebank.count("<unk>")
