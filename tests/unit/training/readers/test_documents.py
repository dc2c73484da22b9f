"""Data sources as documents and examples, and the message of each kind of damage."""

import functools
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import DataError
from training.readers import files
from training.readers.documents import read_documents
from training.readers.examples import Example, read_examples
from training.readers.notices import shown_notices
from training.readers.sources import is_blank

Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of this name, without any change of line ends, and gives its path."""

    def write_file(name: str, content: str) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode())
        return str(path)

    return write_file


def message_of(read: Callable[[], object]) -> str:
    """The one-line message that reading ends with."""
    with pytest.raises(DataError) as error:
        read()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_text_is_cut_by_file_paragraph_and_line(write: Write) -> None:
    """The three units of plain text, with Windows line ends, blank lines and a byte order mark."""
    path = write("a.txt", "\ufeffone\r\ntwo\n\n\n three \n")
    assert read_documents([path]) == ["one\ntwo\n\n\n three \n"]
    assert read_documents([path], unit="paragraph") == ["one\ntwo", " three "]
    assert read_documents([path], unit="line") == ["one", "two", " three "]


@given(content=st.text(st.sampled_from("ab \r\n\ufeffé😀"), max_size=40), block=st.integers(1, 9))
def test_a_file_is_read_in_blocks(
    tmp_path_factory: pytest.TempPathFactory, content: str, block: int
) -> None:
    """Wherever they are cut: inside a character or a line end, in white space, in the mark."""
    path = tmp_path_factory.mktemp("blocks") / "a.txt"
    path.write_bytes(content.encode())
    expected = content.removeprefix("\ufeff").replace("\r\n", "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", block)
        if expected.strip():
            assert read_documents([str(path)]) == [expected]
        else:
            assert "holds no text" in message_of(lambda: read_documents([str(path)]))


@pytest.mark.parametrize("damage", [b"\xff", b"\xc3", b"\xc3\xff"])
def test_invalid_unicode_is_reported_with_its_line(
    tmp_path: Path, damage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is right at the last incomplete character of a file and at the end of a block."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\n\n" + damage)
    for block in (1, 3, 1000):
        monkeypatch.setattr(files, "BLOCK_BYTES", block)
        assert "a.txt, line 4: not UTF-8" in message_of(lambda: read_documents([str(path)]))


def test_lines_end_at_line_feeds_alone(write: Write) -> None:
    """Other Unicode separators are text inside a line, in text and in JSON lines."""
    odd = "a\x85b\u2028c\x0bd\x1ce"
    assert read_documents([write("a.txt", f"{odd}\nz\n")], unit="line") == [odd, "z"]
    line = json.dumps({"text": odd, "label": "x"}, ensure_ascii=False)
    assert read_examples(write("a.jsonl", line + "\n")) == [Example(odd, "x")]


def test_records_are_documents(write: Write) -> None:
    """Each record is one document, from several sources in order; blank ones are left out."""
    lines = write("a.jsonl", '{"id": 1, "body": "x"}\n\n{"id": 2, "body": " "}\n{"body": "y"}\n')
    table = write("b.tsv", "body\tlabel\nz z\tl\n")
    assert read_documents([lines, table]) == ["x", "y", "z z"]
    assert read_documents([table], column="label") == ["l"]


def test_examples_from_every_format(write: Write) -> None:
    """JSON lines, CSV with quotes and line breaks in a field, TSV: the same examples."""
    examples = [Example('He said, "no"\nand left', "bad"), Example("café", "7")]
    lines = [json.dumps({"text": e.text, "label": e.label}) for e in examples]
    assert read_examples(write("a.jsonl", "\n".join(lines))) == examples
    table = 'text,label\r\n"He said, ""no""\nand left",bad\r\ncafé,7\r\n'
    assert read_examples(write("a.csv", table)) == examples
    tabbed = 'text\tlabel\n"He said, ""no""\nand left"\tbad\ncafé\t7\n'
    assert read_examples(write("a.tsv", tabbed)) == examples


def test_labels_may_be_numbers(write: Write) -> None:
    """Whole numbers are names of labels too."""
    assert read_examples(write("a.jsonl", '{"text": "x", "label": 0}')) == [Example("x", "0")]


def test_columns_are_chosen_by_name_or_by_elimination(write: Write) -> None:
    """A column has a usual name, is the only one left, or is given by option."""
    path = write("a.csv", "sentence,intent\nx,y\n")
    assert read_examples(path, label_column="intent") == [Example("x", "y")]
    assert read_examples(path, text_column="intent") == [Example("y", "x")]
    three = write("b.csv", "id,sentence,intent\n1,x,y\n")
    assert read_examples(three, text_column="sentence", label_column="intent") == [
        Example("x", "y")
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "id,sentence,label\n1,x,y\n", "no column 'text'; found: id, sentence, label"),
        ("a.csv", "a,b,text\n1,2,x\n", "no column 'label'; found: a, b, text"),
        ("a.csv", "text,label\nx,y\nx\n", "line 3: has 1 columns where the header has 2"),
        ("a.csv", 'text,label\n"x" y,z\n', "line 2: malformed row"),
        ("a.csv", 'text,label\n"x,y\n', "malformed row"),
        ("a.csv", "text,text\nx,y\n", "names a column twice"),
        ("a.csv", "text,label\n", "holds no records"),
        ("a.csv", "text,label\nx, \n", "line 2: the label is empty"),
        ("a.jsonl", "", "holds no records"),
        ("a.jsonl", '{"text": "x", "label": "y"}\n{"text"\n', "line 2: not valid JSON"),
        ("a.jsonl", "[" * 100_000, "line 1: not valid JSON"),
        ("a.jsonl", '["x"]\n', "line 1: expected a JSON object"),
        ("a.jsonl", '{"text": " ", "label": "y"}\n', "line 1: the text is empty"),
        ("a.jsonl", '{"text": 5, "label": "y"}\n', "line 1: column 'text' must be a string"),
        ("a.jsonl", '{"text": "x", "label": null}\n', "line 1: the label must be a string"),
        ("a.jsonl", '{"text": "x", "label": 0.5}\n', "line 1: the label must be a string"),
        ("a.jsonl", '{"text": "\\ud800", "label": "y"}\n', "half of a surrogate pair"),
        ("a.jsonl", '{"text": "x", "label": "y"}\n{"text": "x"}\n', "line 2: no column 'label'"),
        ("a.txt", "x\n", "holds no labels"),
    ],
)  # fmt: skip
def test_bad_examples_are_reported_by_name(
    write: Write, name: str, content: str, expected: str
) -> None:
    """Each kind of damage names the file, the line where there is one, and what was expected."""
    path = write(name, content)
    message = message_of(lambda: read_examples(path))
    assert message.startswith(path)
    assert expected in message


def test_a_column_given_by_option_is_never_replaced(write: Write) -> None:
    """Asking for a column that is missing names those that are there."""
    path = write("a.csv", "text,label\nx,y\n")
    message = message_of(lambda: read_examples(path, text_column="body"))
    assert "no column 'body'; found: text, label. Choose with --text-column" in message
    assert "'body'" in message_of(lambda: read_documents([path], column="body"))


def test_a_column_number_of_many_digits_is_reported(write: Write) -> None:
    """A column number that does not exist is refused, and its digits are shortened."""
    path, number = write("a.csv", "label,text\nA,x\n"), "9" * 5000
    for read, option in (
        (lambda: read_examples(path, text_column=number), "--text-column"),
        (lambda: read_examples(path, label_column=number), "--label-column"),
        (lambda: read_documents([path], column=number), "--column"),
    ):
        message = message_of(read)
        assert f"...'; found: label, text. Choose with {option}, by name" in message
        assert number not in message


def test_bytes_that_are_not_utf8_are_reported_with_their_line(tmp_path: Path) -> None:
    """Bytes of no known encoding are refused at the first line that has them."""
    path = tmp_path / "damaged.txt"
    path.write_bytes(b"plain\n1 \xe9\n")
    assert f"{path}, line 2: not UTF-8" in message_of(lambda: read_documents([str(path)]))


@pytest.mark.parametrize("content", ["", " \n\n\t\n"])
def test_a_file_without_text_is_refused(write: Write, content: str) -> None:
    """Nothing but white space is no document."""
    path = write("a.txt", content)
    assert "holds no text" in message_of(lambda: read_documents([path], unit="line"))


def test_missing_files_and_directories_are_refused(tmp_path: Path) -> None:
    """The error has the path and the system's reason."""
    assert "No such file" in message_of(lambda: read_documents([str(tmp_path / "none.txt")]))
    assert "the folder has no file" in message_of(lambda: read_documents([str(tmp_path)]))
    assert "cannot be read" in message_of(lambda: read_examples(str(tmp_path / "none.csv")))


def test_plain_json_is_not_taken_for_text(write: Write) -> None:
    """A .json file is one value, not lines of records."""
    assert ".jsonl" in message_of(lambda: read_documents([write("a.json", "[]")]))


def test_hugging_face_needs_its_extra() -> None:
    """Without the package the message has the command that installs it."""
    if importlib.util.find_spec("datasets") is not None:
        pytest.skip("the optional package is installed")
    assert "pip install datasets" in message_of(lambda: read_examples("hf:owner/name:test"))


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"])).filter(lambda t: not is_blank(t)),
            st.sampled_from(["a", "b"]),
        ),
        min_size=1,
    )
)
def test_any_text_survives_json_lines(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    """Texts of any characters are read from JSON lines as they were written."""
    path = tmp_path_factory.mktemp("json") / "a.jsonl"
    lines = [json.dumps({"text": t, "label": lab}, ensure_ascii=False) for t, lab in rows]
    path.write_bytes("\n".join(lines).encode())
    assert read_examples(str(path)) == [Example(text, label) for text, label in rows]


BLANK = ["", " ", "\u00a0", "\u3000", "\u200b", "\ufeff\u2060 ", "\u2800\u3164", "\t"]


def test_empty_texts_are_counted_or_left_out(
    write: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    """One refusal names the first lines of all; by option they are skipped with a note."""
    rows: list[dict[str, str | None]] = [{"text": "x", "label": "A"}]
    rows += [{"text": t, "label": "B"} for t in BLANK]
    rows += [
        {"text": None, "label": "B"},
        {"text": "y", "label": " "},
        {"text": "z", "label": None},
    ]
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    message = message_of(lambda: read_examples(path))
    assert message.startswith(f"{path}, line 2: the text is empty; the same in line 3, line 4,")
    assert "5 more (11 of 12 records have no text or no label)" in message
    assert "--skip-empty" in message
    with shown_notices():
        assert read_examples(path, skip_empty=True) == [Example("x", "A")]
    stderr = capfd.readouterr().err
    assert (
        "11 of 12 records have no text or no label and are left out, the first in line 2" in stderr
    )
    nothing = write("b.jsonl", json.dumps(rows[2]) + "\n")
    assert "no records with a text" in message_of(lambda: read_examples(nothing, skip_empty=True))


def test_empty_documents_are_skipped_and_reported(
    write: Write, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of records; blank lines of a text are no documents."""
    path = write("a.csv", 'text\none\n""\n\u3000\ntwo\n')
    with shown_notices():
        assert read_documents([path]) == read_documents([path]) == ["one", "two"]
    stderr = capfd.readouterr().err
    assert stderr == f"note: {path}: 2 of 4 records have no text and are left out\n"
    lines = write("a.txt", "one\n\u200b\n \ntwo\n")
    assert read_documents([lines], unit="line") == ["one", "two"]
    assert read_documents([lines], unit="paragraph") == ["one", "two"]


@pytest.mark.parametrize(
    ("value", "label"), [("true", "true"), ("3", "3"), ("3.0", "3"), ('" b\\t"', "b"), ('"0"', "0")]
)
def test_labels_of_other_types_have_one_name(write: Write, value: str, label: str) -> None:
    """Truth values, whole numbers however they are spelt, strings without the space around them."""
    path = write("a.jsonl", f'{{"text": "x", "label": {value}, "score": NaN}}\n')
    assert read_examples(path) == [Example("x", label)]


@pytest.mark.parametrize("value", ["null", "NaN"])
def test_a_wrong_label_is_shown_as_it_is_written(write: Write, value: str) -> None:
    """Whoever looks for it in the file finds it."""
    path = write("a.jsonl", f'{{"text": "x", "label": {value}}}\n')
    assert f"whole number, found {value} (" in message_of(lambda: read_examples(path))


def test_json_of_other_forms_is_read_or_refused(write: Write) -> None:
    """JSON lines in .json and concatenated files are read, not arrays and duplicate keys."""
    line = '{"text": "x", "label": "A"}\n'
    assert read_examples(write("a.json", line)) == [Example("x", "A")]
    assert len(read_examples(write("a.jsonl", f"\ufeff{line}\n\ufeff{line}"))) == 2
    for array in (f"[{line.strip()}]", f"[\n{line}]"):
        path = write("a.jsonl", array)
        message = message_of(functools.partial(read_examples, path))
        assert "jq -c '.[]'" in message
    twice = write("b.jsonl", '{"text": "x", "text": "y", "label": "A"}\n')
    assert "line 1: not valid JSON (an object has a name twice" in message_of(
        lambda: read_examples(twice)
    )
