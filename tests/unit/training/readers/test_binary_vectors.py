"""Binary files of word2vec and fastText: read, composed for unknown words, damaged."""

import gzip
import logging
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import DataError
from training.readers.binary_vectors import hash_of, ngrams, read_fasttext_model
from training.readers.notices import LOG
from training.readers.vector_files import first_words, read_vectors

WORDS = ["</s>", "cats", "naïve"]
WIDTH, BUCKETS = 3, 7
RNG = np.random.default_rng(1)
MATRIX_RE = RNG.normal(size=(len(WORDS) + BUCKETS, WIDTH)).astype(np.float32)


def word2vec(end: bytes = b"\n") -> bytes:
    """A binary file of word2vec; some programs leave out the line ends."""
    rows = zip(WORDS, MATRIX_RE, strict=False)
    body = b"".join(word.encode() + b" " + row.tobytes() + end for word, row in rows)
    return f"{len(WORDS)} {WIDTH}\n".encode() + body


def fasttext(*, quantized: bool = False, lengths: tuple[int, int] = (2, 3)) -> bytes:
    """A model of fastText with buckets of n-grams, and a label after its words."""
    arguments = [WIDTH, 5, 5, 1, 5, 1, 1, 1, BUCKETS, *lengths, 100]
    content = struct.pack("<ii12id", 793_712_314, 12, *arguments, 1e-4)
    content += struct.pack("<iiiqq", len(WORDS) + 1, len(WORDS), 1, 100, -1)
    for word in (*WORDS, "__label__x"):
        content += word.encode() + b"\0" + struct.pack("<qb", 7, word.startswith("__"))
    content += struct.pack("<?qq", quantized, *MATRIX_RE.shape)
    return content + MATRIX_RE.tobytes()


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("compressed", [True, False])
def test_word2vec_binary_is_recognized(tmp_path: Path, end: bytes, compressed: bool) -> None:
    """By its content, whatever its name is, also compressed."""
    path = tmp_path / ("vectors.bin.gz" if compressed else "vectors.txt")
    path.write_bytes(gzip.compress(word2vec(end)) if compressed else word2vec(end))
    vectors = read_vectors(path)
    assert list(vectors) == WORDS
    assert first_words(path, 2) == WORDS[:2]
    np.testing.assert_array_equal(np.stack(list(vectors.values())), MATRIX_RE[: len(WORDS)])


@pytest.mark.parametrize("compressed", [True, False])
def test_fasttext_gives_vectors_to_unknown_words(
    tmp_path: Path, compressed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A vector is the mean of those of the word, if it is known, and of its n-grams."""
    caplog.set_level(logging.INFO, logger=LOG.name)
    path = tmp_path / "model.bin"
    path.write_bytes(gzip.compress(fasttext()) if compressed else fasttext())
    vectors = read_vectors(path, {"cats", "cat", ""})
    assert set(vectors) == {"cats", "cat"}
    rows = [len(WORDS) + hash_of(part) % BUCKETS for part in ngrams("cat", 2, 3)]
    np.testing.assert_allclose(vectors["cat"], MATRIX_RE[rows].mean(axis=0), rtol=1e-6)
    rows = [1, *(len(WORDS) + hash_of(part) % BUCKETS for part in ngrams("cats", 2, 3))]
    np.testing.assert_allclose(vectors["cats"], MATRIX_RE[rows].mean(axis=0), rtol=1e-6)
    assert "1 words have vectors by their character n-grams alone" in caplog.text
    assert first_words(path, 2) == WORDS[:2]
    assert list(read_vectors(path)) == WORDS


def test_a_model_without_ngrams_has_known_words_alone(tmp_path: Path) -> None:
    """--maxn 0 of fastText: unknown words have no vector."""
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext(lengths=(0, 0)))
    vectors = read_vectors(path, {"cats", "cat"})
    np.testing.assert_array_equal(vectors["cats"], MATRIX_RE[1])
    assert "cat" not in vectors


def test_ngrams_and_their_hashes_are_those_of_fasttext() -> None:
    """As the program computes them: single characters without the brackets, signed bytes."""
    assert ngrams("ab", 1, 2) == ["<a", "a", "ab", "b", "b>"]
    assert ngrams("é", 3, 6) == ["<é>"]
    assert hash_of("") == 2_166_136_261
    assert hash_of("a") == 0xE40C292C  # of the published function, the same for ASCII
    assert hash_of("é") != hash_of("e")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (word2vec()[:-8], "ends within vector 3 of 3"),
        (word2vec()[:26], "ends within word 2"),
        (fasttext()[:-1], "ends within its vectors"),
        (fasttext()[:70], "ends early"),
        (fasttext()[:95], "ends within word"),
        (fasttext(quantized=True), "a quantized model (.ftz)"),
        (fasttext()[:4] + b"\7" + fasttext()[5:], "version 7 of fastText's format"),
        (b"3 2\n\1 " + b"\1" * 20_000, "word 2 is longer than"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    """The error names the file and the place."""
    path = tmp_path / "v.bin"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_vectors(path)
    assert str(error.value).startswith(str(path))
    assert fault in str(error.value)


@given(st.sampled_from([word2vec, fasttext]), st.data())
def test_any_damage_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[[], bytes], data: st.DataObject
) -> None:
    """A changed byte or a cut gives other vectors or an error with the name, nothing else."""
    content = bytearray(make())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / "v.bin"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read_vectors(path, {"cats", "cat"})
    except DataError as error:
        assert str(error).startswith(str(path))  # noqa: PT017


def test_a_model_in_a_file_is_not_copied_into_memory(tmp_path: Path) -> None:
    """Published models have gigabytes of vectors, of which a vocabulary needs some."""
    path = tmp_path / "model.bin"
    path.write_bytes(fasttext())
    assert isinstance(read_fasttext_model(path).matrix_RE, np.memmap)
