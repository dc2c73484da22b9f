"""Labeled examples from folders, fastText's lines, tables without a suffix, and guessed columns."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import DataError
from training.readers.documents import read_documents
from training.readers.examples import Example, LabelOptions, read_examples
from training.readers.notices import LOG

Write = Callable[[str, str], str]
TEXTS = [f"the text number {number} is about something" for number in range(12)]
EXAMPLES = [Example(text, "ab"[number % 2]) for number, text in enumerate(TEXTS)]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file below the test's folder; returns its path."""

    def write_file(name: str, content: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
        return str(path)

    return write_file


def message_of(read: Callable[[], object]) -> str:
    """The message that reading ends with."""
    with pytest.raises(DataError) as error:
        read()
    return str(error.value)


def test_lines_of_fasttext_are_read(write: Write) -> None:
    """The label is first or last, and is no part of the text."""
    path = write("a.txt", "__label__x one  two\n\n__label__y three\nfour five __label__x\n")
    assert read_examples(path) == [
        Example("one  two", "x"),
        Example("three", "y"),
        Example("four five", "x"),
    ]


def test_lines_of_fasttext_with_several_labels_are_refused_by_name(write: Write) -> None:
    """The error has the line and all labels."""
    path = write("a.txt", "__label__x one\n__label__x __label__y two\n")
    message = message_of(lambda: read_examples(path))
    assert message.startswith(f"{path}, line 2: has 2 labels: 'x', 'y'; ")
    assert "--multi-label" in message


@pytest.mark.parametrize("options", [LabelOptions(None), LabelOptions(multi_label=True)])
def test_several_labels_are_read_where_they_are_taken(write: Write, options: LabelOptions) -> None:
    """Lists in JSON, also empty ones, and lines of fastText; each label once."""
    several = [Example("one", "x", "y"), Example("two"), Example("three", "3")]
    rows = '{"text": "one", "labels": ["x", "y", "x"]}\n{"text": "two", "labels": []}\n'
    path = write("a.jsonl", rows + '{"text": "three", "labels": [3]}\n')
    assert read_examples(path, label_options=options) == several
    path = write("a.txt", "__label__x __label__y one  two\n__label__z so __label__x it is\n")
    assert read_examples(path, label_options=options) == [
        Example("one  two", "x", "y"),
        Example("so it is", "z", "x"),
    ]


def test_cells_are_split_at_the_separator(write: Write) -> None:
    """White space around labels and empty parts are left out; an empty cell is no label."""
    path = write("a.csv", 'text,labels\none,"x; y"\ntwo,\nthree,z;\n')
    options = LabelOptions(multi_label=True, separator=";")
    assert read_examples(path, label_options=options) == [
        Example("one", "x", "y"),
        Example("two"),
        Example("three", "z"),
    ]


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ('["x", ""]', "in the list of labels, the label is empty"),
        ('["x", null]', "in the list of labels, the label must be a string or a whole number"),
        ('["x", ["y"]]', "the label must be a string or a whole number, found list"),
        ('{"x": 1}', "the label must be a string or a whole number, found dict"),
        ("null", "the label must be a string or a whole number, found null"),
        ('["\\ud800"]', "half of a surrogate pair"),
    ],
)
def test_bad_lists_of_labels_are_named(write: Write, labels: str, fault: str) -> None:
    """The error has the line and the value that is no label."""
    path = write("a.jsonl", '{"text": "x", "labels": ' + labels + "}\n")
    message = message_of(lambda: read_examples(path, label_options=LabelOptions(None)))
    assert message.startswith(f"{path}, line 1: ")
    assert fault in message


def test_a_list_is_refused_where_a_text_has_one_label(write: Write) -> None:
    """Without the option, the error names it."""
    path = write("a.jsonl", '{"text": "x", "labels": []}\n')
    message = message_of(lambda: read_examples(path))
    assert message.startswith(f"{path}, line 1: has a list of labels")
    assert "--multi-label" in message


@pytest.mark.parametrize(
    ("line", "fault"), [("__label__x", "the text is empty"), ("words", "the label is empty")]
)
def test_lines_of_fasttext_that_lack_something_are_refused(
    write: Write, line: str, fault: str
) -> None:
    """They are left out with --skip-empty."""
    path = write("a.txt", f"__label__x one\n__label__y two\n__label__y three\n{line}\n")
    assert f"line 4: {fault}" in message_of(lambda: read_examples(path))
    assert len(read_examples(path, skip_empty=True)) == 3


@given(
    st.lists(
        st.tuples(st.sampled_from("xy"), st.text("ab é.,", min_size=1).filter(str.strip)),
        min_size=1,
        max_size=5,
    )
)
def test_any_text_survives_the_lines_of_fasttext(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    """Surrounding spaces alone are lost."""
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_text("".join(f"__label__{label} {text}\n" for label, text in rows))
    read = [(example.label, example.text) for example in read_examples(str(path))]
    assert read == [(label, text.strip()) for label, text in rows]


def test_a_folder_has_a_folder_for_each_label(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One file is one document, at any depth; hidden files and those beside the folders are not."""
    caplog.set_level(logging.INFO, logger=LOG.name)
    write("set/pos/1.txt", "fine\r\nday")
    write("set/pos/deep/2", "good day")
    write("set/neg/1.txt", "bad day")
    write("set/neg/.DS_Store", "\0")
    write("set/README", "about")
    assert read_examples(str(tmp_path / "set")) == [
        Example("bad day", "neg"),
        Example("fine\nday", "pos"),
        Example("good day", "pos"),
    ]
    assert "1 files beside the folders of labels are left out" in caplog.text


def test_a_folder_of_tables_has_the_examples_of_all(write: Write, tmp_path: Path) -> None:
    """Without folders in it, each file is read as if it were named."""
    write("set/a.csv", "text,label\none,x\n")
    write("set/b.jsonl", '{"text": "two", "label": "y"}\n')
    assert read_examples(str(tmp_path / "set")) == [Example("one", "x"), Example("two", "y")]


def test_a_folder_of_texts_has_no_labels(write: Write, tmp_path: Path) -> None:
    """The error says what a folder has to contain; a language model reads all its files."""
    write("set/b.txt", "two")
    write("set/a/a.txt", "one")
    write("set/c.jsonl", '{"text": "three"}')
    assert read_documents([str(tmp_path / "set")]) == ["one", "two", "three"]
    write("other/b.txt", "two")
    assert "a folder with a folder of documents for each label" in message_of(
        lambda: read_examples(str(tmp_path / "other"))
    )


def test_a_text_file_with_tabs_is_a_table(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """A table of two columns without names, whose suffix says nothing, with the label first."""
    caplog.set_level(logging.INFO, logger=LOG.name)
    path = write("a.data", "".join(f"{e.label}\t{e.text}\n" for e in EXAMPLES))
    assert read_examples(path) == EXAMPLES
    assert read_examples(path, text_column="2", label_column="1") == EXAMPLES
    assert "read as a table, since each line has a tab" in caplog.text
    assert "texts are taken from column '2', labels from '1'" in caplog.text


def test_columns_of_many_are_guessed_where_it_is_clear(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """A headerless table with label, title and text, as published ones are."""
    caplog.set_level(logging.INFO, logger=LOG.name)
    rows = "".join(f'"{e.label}","title {i}","{e.text}"\n' for i, e in enumerate(EXAMPLES))
    assert read_examples(write("a.csv", rows)) == EXAMPLES
    assert "texts are taken from column '3', labels from '1'" in caplog.text


@pytest.mark.parametrize("names", ["toxic,insult", "label_a,label_b"])
def test_several_label_columns_are_refused_by_name(write: Write, names: str) -> None:
    """The error names them and the option; with the option one of them is read."""
    rows = "".join(f"{e.text},{int(e.label == 'a')},0\n" for e in EXAMPLES)
    path = write("a.csv", f"text,{names}\n{rows}")
    first, second = names.split(",")
    message = message_of(lambda: read_examples(path))
    assert f"several columns look like labels: {first!r}, {second!r}, and" in message
    assert "choose one with --label-column" in message
    assert {example.label for example in read_examples(path, label_column=first)} == {"0", "1"}
    message = message_of(lambda: read_examples(path, label_column=names))
    assert f"--label-column {names}: names several columns" in message
    assert "--label-separator" in message


def test_the_only_column_that_repeats_values_is_the_label(write: Write) -> None:
    """Beside a text column and a column of numbers that are all different."""
    rows = "".join(f"{number},{e.text},{e.label}\n" for number, e in enumerate(EXAMPLES))
    assert read_examples(write("a.csv", f"id,text,topic\n{rows}")) == EXAMPLES
