"""Word vectors from files: each format is read, damage is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from training.errors import DataError
from training.readers.notices import shown_notices
from training.readers.vector_files import read_vectors

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


def test_a_matrix_of_numbers_that_no_model_holds_is_refused(tmp_path: Path) -> None:
    """With the row and its word, before anything is trained."""
    np.save(tmp_path / "vectors.npy", np.array([[1, 65504], [3, -1e38]]))
    (tmp_path / "vocab.txt").write_text("the\nkeys\n")
    with pytest.raises(DataError, match="line 2: 'keys': its numbers are not all from -65504"):
        read_vectors(tmp_path / "vectors.npy")


def test_only_words_of_the_vocabulary_are_kept(tmp_path: Path) -> None:
    """With a vocabulary given, no other word takes memory."""
    (tmp_path / "glove.txt").write_text(GLOVE, encoding="utf-8")
    assert list(read_vectors(tmp_path / "glove.txt", {"keys", "door"})) == ["keys"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the 1 2\nkeys 1 x\n", "line 2"),
        (b"the 1 2\nkeys\n", "line 2"),
        (b"the 1 nan\n", "line 1"),
        (b"x 1e38 -1e38\n", "line 1: 'x': its numbers are not all from -65504 to 65504"),
        (b"1 " + b"9" * 5000 + b"\nkeys 1\n", "line 1: '1': its numbers are not all finite"),
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


@pytest.mark.parametrize(
    "lines", [". . . 4 5 6\nthe 1 2 3\nof 1 2 3\n", "3 3\n. . . 4 5 6\nat a@b 1 2 3\n"]
)
def test_words_may_hold_spaces(tmp_path: Path, lines: str) -> None:
    """The last fields are the vector, as many as in most lines or the header."""
    path = tmp_path / "glove.txt"
    path.write_text(lines)
    vectors = read_vectors(path)
    assert vectors[". . ."].tolist() == [4, 5, 6]
    assert {vector.shape for vector in vectors.values()} == {(3,)}


MANY = "".join(f"w{i} {i} 0.5\n" for i in range(3000))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bad 0.1\n", "different widths: 'bad' has 1 numbers, other lines have 2"),
        ("bad 0.1 0.2 0.3\n", "different widths: 'bad' has 3 numbers"),
        ("bad 0.1 x\n", "'bad': could not convert string to float: 'x'"),
        ("bad 0.1 nan\n", "'bad': its numbers are not all finite"),
        ("bad 0.1 1e39\n", "'bad': its numbers are not all finite"),
        ("bad 0.1 -65600\n", "'bad': its numbers are not all from -65504 to 65504"),
        ("\n", "different widths"),
    ],
)
@pytest.mark.parametrize("header", ["", "3001 2\n"])
def test_a_few_broken_lines_are_skipped_and_reported(
    tmp_path: Path, line: str, expected: str, header: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """With line and word of the first; a file that has more is refused with the same words."""
    path = tmp_path / "glove.txt"
    path.write_text(header + MANY + line)
    number = 3001 + bool(header)
    with shown_notices():
        assert len(read_vectors(path)) == 3000
    shown = capfd.readouterr().err
    assert f"glove.txt, line {number}: {expected}" in shown
    assert "; 1 such lines are left out" in shown
    path.write_text(header + MANY + 4 * line)
    with pytest.raises(DataError, match=f"line {number}: .*4 broken lines, 3000 whole ones"):
        read_vectors(path)


def test_a_word_that_is_not_utf8_is_a_broken_line(tmp_path: Path) -> None:
    """Published files cut words inside characters."""
    path = tmp_path / "vectors.vec"
    path.write_bytes(b"3001 2\n" + MANY.encode() + b"caf\xc3 1 2\n")
    assert len(read_vectors(path)) == 3000


def test_oddities_of_a_vector_file_are_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Words that stand twice, fewer vectors than announced, binary and empty files."""
    path = tmp_path / "a.vec"
    path.write_text("3 2\nthe 1 2\nthe 3 4\n")
    with shown_notices():
        assert read_vectors(path)["the"].tolist() == [1, 2]
    stderr = capfd.readouterr().err
    assert "1 words are repeated" in stderr
    assert "announces 3 vectors, the file has 2" in stderr
    for name, content, reason in (
        ("a.bin", b"3 2\nthe abc", "ends within vector 1 of 3"),
        ("a.txt", b"", "holds no vectors"),
        ("a.npy", b"nothing", "not a matrix"),
        ("a.txt.gz", gzip.compress(MANY.encode())[:-9], "damaged or cut off"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=reason) as error:
            read_vectors(tmp_path / name)
        assert name in str(error.value)
