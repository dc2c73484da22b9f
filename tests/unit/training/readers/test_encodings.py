"""Encodings of text files: named, detected, refused."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import DataError, RecipeError
from training.readers import files
from training.readers.documents import read_documents
from training.readers.encodings import set_encoding
from training.readers.examples import read_examples
from training.readers.notices import LOG

SENTENCES = {
    "cp1252": "Le café était très agréable, déjà vu à l’hôtel. Über große Straßen gehen wir.",
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy. Dnes je krásný den.",
    "cp1251": "Это был очень хороший фильм, мне понравилось. Спасибо за внимание.",
    "koi8_r": "Это был очень хороший фильм, мне понравилось. Спасибо за внимание.",
    "shift_jis": "この映画はとても面白かったです。もう一度見たいと思います。",
    "gb18030": "这部电影非常好看，我很喜欢。谢谢大家的关注，下次再见。",
    "euc_kr": "이 영화는 정말 재미있었습니다. 다시 보고 싶어요. 감사합니다.",
}


@pytest.fixture(autouse=True)
def no_named_encoding() -> Iterator[None]:
    """Restores detection after each test."""
    yield
    set_encoding(None)


@pytest.mark.parametrize("encoding", SENTENCES)
def test_encodings_are_detected_with_a_notice(
    tmp_path: Path, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is not UTF-8 is read in the encoding that fits, and a notice names it."""
    caplog.set_level(logging.INFO, logger=LOG.name)
    path = tmp_path / "a.csv"
    rows = "".join(f'"{SENTENCES[encoding]}",{label}\n' for label in "abab")
    path.write_bytes(f"text,label\n{rows}".encode(encoding))
    assert [example.text for example in read_examples(str(path))] == [SENTENCES[encoding]] * 4
    assert encoding.replace("cp", "windows-") in caplog.text
    assert "--encoding NAME" in caplog.text


def test_a_named_encoding_is_used_without_detection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """--encoding decides, but for files that begin with a byte order mark."""
    caplog.set_level(logging.INFO, logger=LOG.name)
    path, marked = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_bytes("őszi szellő".encode("iso8859-2"))
    marked.write_bytes("őszi szellő".encode("utf-16"))
    set_encoding("latin2")
    assert read_documents([str(path), str(marked)]) == ["őszi szellő"] * 2
    assert caplog.text == ""


def test_bytes_that_the_named_encoding_does_not_have_are_refused(tmp_path: Path) -> None:
    """The error has the line and the encoding."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo \xff\n")
    set_encoding("ascii")
    with pytest.raises(DataError, match=r"a.txt, line 2: not ascii, so it cannot be read"):
        read_documents([str(path)])


@pytest.mark.parametrize("name", ["klingon", "", "rot13", "base64", "a\0b"])
def test_names_of_no_encoding_are_refused(name: str) -> None:
    """The error names the option and gives examples, also for codecs that encode no text."""
    with pytest.raises(RecipeError, match=r"--encoding: .* is no encoding; expected a name"):
        set_encoding(name)


@given(block=st.integers(1, 60))
def test_the_place_of_a_block_border_changes_no_text(
    tmp_path_factory: pytest.TempPathFactory, block: int
) -> None:
    """Bytes of one character in two blocks, or the first of them at the end of a block."""
    path = tmp_path_factory.mktemp("blocks") / "a.txt"
    text = "plain text before " + SENTENCES["gb18030"]
    path.write_bytes(text.encode("gb18030"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", block + 40)
        assert read_documents([str(path)]) == [text]
