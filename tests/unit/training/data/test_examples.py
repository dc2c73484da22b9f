"""Examples of a run: held out by label, checked, encoded, truncated; and the vocabulary."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config.classifier import ClassifierRecipe, DatasetSize, complete_classifier
from training.data.examples import encode_examples, read_splits, stratified_split, truncate_tokens
from training.data.vocabulary import (
    initial_embedding,
    load_vectors,
    train_classifier_tokenizer,
    unknown_share_of_documents,
)
from training.errors import DataError, RecipeError
from training.readers.examples import Example
from training.readers.notices import LOG

TEXTS = ["good film", "good book", "bad film", "odd"]


def write_examples(path: Path, rows: list[tuple[str, str]]) -> str:
    """JSON lines of these texts and labels."""
    path.write_text("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows))
    return str(path)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=80), st.floats(0.01, 0.9))
def test_each_label_is_held_out_and_kept(labels: list[str], share: float) -> None:
    """Held out: about the share, at least one of a label with two; kept: at least one of each."""
    examples = [Example(str(index), label) for index, label in enumerate(labels)]
    kept, held = stratified_split(examples, share=share, seed=1)
    assert sorted(e.text for e in kept + held) == sorted(e.text for e in examples)
    of_kept, of_held = Counter(e.label for e in kept), Counter(e.label for e in held)
    for label, count in Counter(labels).items():
        assert of_kept[label] >= 1
        assert of_held[label] == min(max(1, round(share * count)), count - 1)


@given(st.lists(st.integers(), max_size=30), st.integers(1, 40), st.booleans())
def test_truncation_keeps_the_named_part(tokens: list[int], limit: int, ends: bool) -> None:
    """Never more than the limit; short documents whole; long ones from the head or both ends."""
    cut = truncate_tokens(tokens, limit, ends=ends)
    assert len(cut) == min(limit, len(tokens))
    tail = limit // 2 if ends and len(tokens) > limit else 0
    assert cut[: len(cut) - tail] == tokens[: len(cut) - tail]
    assert cut[len(cut) - tail :] == tokens[len(tokens) - tail :]


def test_validation_is_held_out_where_none_is_given(tmp_path: Path) -> None:
    """A tenth of each label; the seed decides which."""
    rows = [(f"text {i}", "ab"[i % 2]) for i in range(40)]
    train = write_examples(tmp_path / "train.jsonl", rows)
    splits = read_splits(ClassifierRecipe(train=(train,)))
    assert splits.held_out
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (36, 4, 0)
    assert splits.labels == ("a", "b")
    again = read_splits(ClassifierRecipe(train=(train,)))
    assert again.digest == splits.digest
    other = read_splits(ClassifierRecipe(train=(train,), seed=2))
    assert other.digest != splits.digest


def test_one_label_is_refused(tmp_path: Path) -> None:
    """A classifier needs two labels."""
    train = write_examples(tmp_path / "train.jsonl", [("x", "only"), ("y", "only")])
    with pytest.raises(DataError, match=r"train\.jsonl: all examples have the label 'only'"):
        read_splits(ClassifierRecipe(train=(train,)))


def test_labels_that_training_lacks_are_refused(tmp_path: Path) -> None:
    """The message names the file and the labels."""
    train = write_examples(tmp_path / "train.jsonl", [("x", "a"), ("y", "b")])
    test = write_examples(tmp_path / "test.jsonl", [("x", "a"), ("z", "c")])
    with pytest.raises(DataError, match=r"test\.jsonl: has labels .*: 'c'; remove"):
        read_splits(ClassifierRecipe(train=(train,), valid=(train,), test=(test,)))


def test_nothing_to_hold_out_is_refused(tmp_path: Path) -> None:
    """With one example of each label there can be no validation split."""
    train = write_examples(tmp_path / "train.jsonl", [("x", "a"), ("y", "b")])
    with pytest.raises(DataError, match="--valid"):
        read_splits(ClassifierRecipe(train=(train,)))


def test_a_text_without_tokens_is_read_as_end() -> None:
    """Every document has a token, or there would be nothing to classify."""
    recipe = ClassifierRecipe()
    tokenizer = train_classifier_tokenizer(recipe, TEXTS, {})
    documents = encode_examples(
        [Example("\u200b", "a"), Example("good", "b")], tokenizer, ("a", "b"), recipe
    )
    blank = encode_examples([Example("\u3000", "a")], tokenizer, ("a", "b"), recipe)
    assert list(blank.tokens[0]) == [tokenizer.end]
    assert min(documents.lengths) == 1
    assert list(documents.labels) == [0, 1]


def test_sentences_match_however_they_are_typed() -> None:
    """Capitals, typographic apostrophes and tokenized contractions are the same words."""
    tokenizer = train_classifier_tokenizer(
        ClassifierRecipe(), ["i do n't like it , it 's well - made !"], {}
    )
    expected = tokenizer.encode("i do n't like it , it 's well - made !")
    assert tokenizer.unknown not in expected
    assert tokenizer.encode("I DON’T like it, it’s well-made!") == expected
    assert tokenizer.encode("I don't like it,\nit's well-made!") == expected


def test_words_of_the_vector_file_join_the_vocabulary(tmp_path: Path) -> None:
    """Seen often enough, or frequent in the file: known. Anything else: [UNK]."""
    lines = ["great 1 2 3", "odd 4 5 6", "good 7 8 9", "rare 0 0 1"]
    path = tmp_path / "vectors.txt.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    recipe = ClassifierRecipe(vectors=str(path), vector_words=1, minimum_count=2)
    vectors = load_vectors(recipe, TEXTS)
    assert set(vectors) == {"great", "odd", "good"}
    tokenizer = train_classifier_tokenizer(recipe, TEXTS, vectors)
    assert set(tokenizer.vocabulary()) == {"[UNK]", "great", "good", "film", ""}
    embedding = initial_embedding(recipe, tokenizer, vectors)
    assert embedding is not None
    matrix_VE, known = embedding
    assert known == 2
    assert matrix_VE[tokenizer.encode("great")[0]].tolist() == [1, 2, 3]
    assert unknown_share_of_documents([tokenizer.encode("good book")], tokenizer) == 0.5


def test_a_matrix_with_its_list_of_words_is_read_too(tmp_path: Path) -> None:
    """The .npy form is read; two files that do not match are refused."""
    path = tmp_path / "vectors.f16.npy"
    np.save(path, np.array([[1, 2], [3, 4]], dtype=np.float16))
    (tmp_path / "vocab.txt").write_text("good\ngreat\n")
    recipe = ClassifierRecipe(vectors=str(path))
    assert sorted(load_vectors(recipe, TEXTS)) == ["good", "great"]
    (tmp_path / "vocab.txt").write_text("good\n")
    with pytest.raises(DataError, match="vocab"):
        load_vectors(recipe, TEXTS)


def test_vectors_that_cannot_help_are_refused(tmp_path: Path) -> None:
    """None of the data's words; no words at all; another width than was asked for."""
    path = tmp_path / "vectors.vec"
    path.write_text("2 2\nfoo 1 2\nbar 3 4\n")
    with pytest.raises(RecipeError, match="none of the words"):
        load_vectors(ClassifierRecipe(vectors=str(path)), TEXTS)
    with pytest.raises(RecipeError, match="--tokenizer is char"):
        load_vectors(ClassifierRecipe(vectors=str(path), tokenizer="char"), TEXTS)
    path.write_text("good 1 2\n")
    recipe = ClassifierRecipe(vectors=str(path), embedding=3)
    vectors = load_vectors(recipe, TEXTS)
    with pytest.raises(RecipeError, match="--embedding 3: the vectors have 2"):
        initial_embedding(recipe, train_classifier_tokenizer(recipe, TEXTS, vectors), vectors)


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_other_tokenizers_fit_small_data(kind: str) -> None:
    """Characters and byte pairs, the latter with as many tokens as little text can give."""
    recipe = ClassifierRecipe(tokenizer=kind)  # type: ignore[arg-type]
    tokenizer = train_classifier_tokenizer(recipe, TEXTS * 3, {})
    assert tokenizer.kind == kind
    assert tokenizer.decode(tokenizer.encode("good film")) == "good film"


@given(st.integers(1, 10**7), st.integers(2, 500), st.floats(1, 10**6))
def test_every_choice_is_made_for_any_corpus(documents: int, labels: int, length: float) -> None:
    """The completed recipe is valid and leaves nothing open; what was given is kept."""
    size = DatasetSize(documents=documents, labels=labels, length=length)
    recipe = complete_classifier(ClassifierRecipe(epochs=2.5, dropout_word=0.0), size)
    assert (recipe.epochs, recipe.dropout_word) == (2.5, 0.0)
    assert None not in (recipe.batch, recipe.embedding, recipe.mlp, recipe.minimum_count)
    free = complete_classifier(ClassifierRecipe(tokenizer="char"), size)
    assert free.epochs is not None
    assert 3 <= free.epochs <= 40
    assert (free.crop is None) == (length <= 250)


@given(st.integers(2, 3000), st.sampled_from(["word", "char"]))
def test_the_linear_classifier_stays_within_bounds(labels: int, kind: str) -> None:
    """Hashed weights number a million at most; with very many labels there is none by default."""
    size = DatasetSize(documents=10**5, labels=labels, length=20)
    recipe = complete_classifier(ClassifierRecipe(tokenizer=kind), size)  # type: ignore[arg-type]
    assert recipe.linear_ngrams is not None
    assert recipe.linear_buckets is not None
    assert (recipe.linear_ngrams == 0) == (labels > 300)
    weights = labels * max(0, recipe.linear_ngrams - 1) * recipe.linear_buckets
    assert weights <= 2**20
    assert recipe.linear_buckets >= 1


def write_label_sets(path: Path, rows: list[tuple[str, list[str]]]) -> str:
    """JSON lines of these texts and lists of labels."""
    path.write_text("".join(json.dumps({"text": t, "labels": ls}) + "\n" for t, ls in rows))
    return str(path)


def test_several_labels_are_detected_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A list of two labels makes the run multi-label, one of one label each does not."""
    caplog.set_level("INFO", logger=LOG.name)
    rows = [(f"text {i}", [["a"], ["b"], ["a", "b"], []][i % 4]) for i in range(40)]
    train = write_label_sets(tmp_path / "several.jsonl", rows)
    splits = read_splits(ClassifierRecipe(train=(train,)))
    assert splits.multi_label
    assert splits.labels == ("a", "b")
    assert "10 of 40 texts have several labels, 10 have none" in caplog.text
    assert {len(example.labels) for example in splits.valid} == {0, 1, 2}
    one = write_label_sets(tmp_path / "one.jsonl", [(f"text {i}", ["ab"[i % 2]]) for i in range(9)])
    assert not read_splits(ClassifierRecipe(train=(one,))).multi_label
    assert read_splits(ClassifierRecipe(train=(one,), multi_label=True)).multi_label
    assert "name what is between them with --label-separator" in caplog.text


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"multi_label": False}, "line 1: has 2 labels: 'a', 'b'"),
        ({"out_of_scope_label": "b"}, "--out-of-scope-label: a multi-label model gives no label"),
    ],
)
def test_options_that_several_labels_contradict_are_named(
    tmp_path: Path, options: dict[str, Any], fault: str
) -> None:
    """The error has the line, or the option to leave out."""
    train = write_label_sets(tmp_path / "train.jsonl", [("x", ["a", "b"]), ("y", ["a"])])
    with pytest.raises(DataError, match=fault):
        read_splits(ClassifierRecipe(train=(train,), **options))


def test_sets_of_labels_are_encoded_as_rows(tmp_path: Path) -> None:
    """Each label of a document is 1 in its row, and a document without labels has none."""
    recipe = ClassifierRecipe(multi_label=True)
    recipe = complete_classifier(recipe, DatasetSize(documents=3, labels=2, length=2))
    tokenizer = train_classifier_tokenizer(recipe, TEXTS, {})
    examples = [Example("good film", "b"), Example("odd"), Example("bad film", "b", "a")]
    encoded = encode_examples(examples, tokenizer, ("a", "b"), recipe)
    assert encoded.label_tensor.tolist() == [[0, 1], [0, 0], [1, 1]]
    assert encoded.at([2, 0]).label_tensor.tolist() == [[1, 1], [0, 1]]
