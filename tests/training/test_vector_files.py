"""Word vectors from files: each format is read, damage is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from training.files import DataError
from training.vector_files import read_vectors

GLOVE = "the 1 2 3\nkeys 4 5 6\nnew\u0085line 7 8 9\n"


def test_text_formats_are_read(tmp_path: Path) -> None:
    """GloVe text, word2vec text with its first line, and gzip give the same vectors."""
    (tmp_path / "glove.txt").write_text(GLOVE, encoding="utf-8")
    (tmp_path / "word2vec.vec").write_text("3 3\n" + GLOVE, encoding="utf-8")
    with gzip.open(tmp_path / "glove.txt.gz", "wt", encoding="utf-8") as file:
        file.write(GLOVE)
    for path in tmp_path.iterdir():
        vectors = read_vectors(path)
        assert list(vectors) == ["the", "keys", "new\u0085line"]
        assert vectors["keys"].tolist() == [4.0, 5.0, 6.0]


def test_a_matrix_with_its_word_list_is_read(tmp_path: Path) -> None:
    """A .npy matrix takes its words from vocab.txt beside it."""
    np.save(tmp_path / "vectors.npy", np.array([[1, 2], [3, 4]], dtype=np.float16))
    (tmp_path / "vocab.txt").write_text("the\nkeys\n")
    assert read_vectors(tmp_path / "vectors.npy")["keys"].tolist() == [3.0, 4.0]
    (tmp_path / "vocab.txt").write_text("the\n")
    with pytest.raises(DataError, match=r"for the 1 words of .*vocab\.txt"):
        read_vectors(tmp_path / "vectors.npy")


def test_only_wanted_words_are_kept(tmp_path: Path) -> None:
    """With a vocabulary given, no other word takes memory."""
    (tmp_path / "glove.txt").write_text(GLOVE, encoding="utf-8")
    assert list(read_vectors(tmp_path / "glove.txt", {"keys", "door"})) == ["keys"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the 1 2\nkeys 1 x\n", "line 2"),
        (b"the 1 2\nkeys\n", "line 2"),
        (b"the 1 nan\n", "line 1"),
        (b"the 1 2\nkeys 1 2 3\n", "different widths"),
        (b"the 1 2\n\xff\xfe 1 2\n", "cannot be read"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    """A line that is not a word and its numbers is refused with the file and the line."""
    path = tmp_path / "broken.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_vectors(path)
    assert "broken.txt" in str(caught.value)
