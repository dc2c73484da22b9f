"""Tables: plain TSV, quoted CSV, detection of delimiters and of missing headers."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import DataError
from training.readers.columns import SAMPLE_RECORDS
from training.readers.documents import read_documents
from training.readers.examples import read_examples
from training.readers.notices import shown_notices

Pairs = list[tuple[str, str]]
Read = Callable[..., Pairs]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes a table and reads its examples as pairs of label and text."""

    def read_table(name: str, content: str, **options: str | bool) -> Pairs:
        path = tmp_path / name
        path.write_bytes(content.encode())
        with shown_notices():
            examples = read_examples(str(path), **options)  # type: ignore[arg-type]
        return [(example.label, example.text) for example in examples]

    return read_table


def refusal(read: Read, name: str, content: str) -> str:
    """The message of the refusal without the directory."""
    with pytest.raises(DataError) as error:
        read(name, content)
    assert "\n" not in str(error.value)
    return str(error.value).rpartition("/")[2]


@pytest.mark.parametrize("text", ['"hello', '"hello" he said', 'bye"', '"', '""', "a,b;c|d", "'x"])
def test_quotes_are_text_in_tsv(read: Read, text: str) -> None:
    """No row is joined with the next, and no quote is removed."""
    rows = [("A", text), ("B", 'bye"'), ("A", "x"), ("B", "y")]
    content = "label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in rows)
    assert read("a.tsv", content) == rows


@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.text(st.sampled_from('ab" ,;|'), min_size=1)),
        min_size=1,
    )
)
def test_every_line_of_a_plain_tsv_is_an_example(
    tmp_path_factory: pytest.TempPathFactory, rows: Pairs
) -> None:
    """Every line is an example, with any quotes and delimiters, in the order of the file."""
    rows = [(label, f"x{text}") for label, text in rows]
    path = tmp_path_factory.mktemp("tsv") / "a.tsv"
    path.write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in rows))
    assert [(e.label, e.text) for e in read_examples(str(path))] == rows


@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.text(st.sampled_from('ab"\n ,;\t|'), min_size=1)),
        min_size=1,
    ),
    st.sampled_from(",;\t|"),
)
def test_written_csv_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: Pairs, delimiter: str
) -> None:
    """With each delimiter, all cells quoted, line ends inside cells; also a .tsv quoted so."""
    rows = [(label, f"x{text}") for label, text in rows]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("label", "text"), *rows])
    folder = tmp_path_factory.mktemp("csv")
    for name in ("a.csv", "a.tsv") if delimiter == "\t" else ("a.csv",):
        (folder / name).write_bytes(out.getvalue().encode())
        assert [(e.label, e.text) for e in read_examples(str(folder / name))] == rows


def test_tsv_that_is_neither_plain_nor_quoted_is_refused_with_its_line(read: Read) -> None:
    """A quote that would join two lines into a row does not."""
    message = refusal(read, "a.tsv", 'label\ttext\nA\t"hello\nB\nA\tx\n')
    assert message.startswith("a.tsv, line 3: has 1 columns where the header has 2: label, text")
    message = refusal(read, "a.tsv", 'label\ttext\nA\t"x\nB\tz\nC"\n')
    assert message.startswith("a.tsv, line 4: has 1 columns")
    message = refusal(read, "a.tsv", 'label\ttext\nA\tx\n\nB\t"y\tz\n')
    assert message.startswith("a.tsv, line 4: has 3 columns")
    assert "quotes do not join lines in .tsv" in message


def test_names_in_quotes_over_plain_rows_join_no_rows(
    read: Read, capfd: pytest.CaptureFixture[str]
) -> None:
    """Quotes that open in one row and close in another are text; the names lose theirs."""
    names = '"label"\t"text"\n'
    plain = [("A", '"hello'), ("B", 'bye"'), ("A", "x")]
    assert read("a.tsv", names + "".join(f"{label}\t{text}\n" for label, text in plain)) == plain
    assert capfd.readouterr().err == ""
    assert read("a.tsv", names + 'A\t"two\nlines"\nB\tx\n') == [("A", "two\nlines"), ("B", "x")]
    assert read("a.tsv", names + '"A"\t"two\n\trows"\n') == [("A", "two\n\trows")]


def test_cells_that_look_quoted_in_a_plain_tsv_are_reported(
    read: Read, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the way to have them read by the rules of CSV, which works."""
    content = 'label\ttext\nA\t"he said ""x"""\nB\ty\n'
    assert read("a.tsv", content)[0] == ("A", '"he said ""x"""')
    assert "name the file .csv to remove the quotes" in capfd.readouterr().err
    assert read("a.csv", content)[0] == ("A", 'he said "x"')


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('label,text\nA,"hello\nB,bye\nA,x\n', 2),
        ('label,text\nA,x\nB,"one ""two""\nA,x\n', 3),
        ('label,text\nA,"x\ny"\nB,"one\n\n', 4),
        ('label,text\n"A\nB","x"\nA,"b,"",\n', 4),
    ],
)
def test_an_unclosed_quote_is_reported_where_it_opens(read: Read, content: str, line: int) -> None:
    """Not at the end of the file."""
    message = refusal(read, "a.csv", content)
    assert message.startswith(f"a.csv, line {line}: malformed row: a quote opens here")


def test_a_quote_that_is_closed_far_away_is_reported_at_both_ends(read: Read) -> None:
    """The line of the fault and the line of the quote before it."""
    message = refusal(read, "a.csv", 'label,text\nA,x\nB,"hello\nB,bye "x" y\nA,x\n')
    assert message.startswith("a.csv, line 4: malformed row")
    assert "whose quote opens in line 3" in message


def test_a_cell_that_swallows_rows_is_reported(
    read: Read, capfd: pytest.CaptureFixture[str]
) -> None:
    """A cell with line ends may be intended, so it is a warning and no error."""
    assert len(read("a.csv", 'label,text\nA,"hello\nB,bye"\nA,x\n')) == 2
    assert "line 2: a cell in quotes spans lines that look like rows" in capfd.readouterr().err


@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
@pytest.mark.parametrize("header", ["text{}label\n", ""])
def test_other_delimiters_are_detected_and_reported(
    read: Read, delimiter: str, header: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Commas in the texts do not matter."""
    rows = [("A", "Hello, you"), ("B", "no"), ("A", "so, so, so")]
    lines = "".join(f"{text}{delimiter}{label}\n" for label, text in rows)
    assert read("a.csv", header.format(delimiter) + lines) == rows
    assert "cells are separated by" in capfd.readouterr().err
    assert read("a.csv", f"sep={delimiter}\n" + header.format(delimiter) + lines) == rows


@pytest.mark.parametrize(
    ("content", "sign"),
    [
        ("good film,pos\nbad film,neg\nfine film,pos\n", "'pos' occurs in its column again"),
        ("pos,good film\nneg,bad film\npos,fine film\n", "'pos' occurs in its column again"),
        ("1,good film\n0,bad film\n2,fine film\n", "'1' is a number"),
        ("Is it good? No.,neg\nIt is.,pos\nbad,odd\n", "'Is it good? No.' is a text"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_missing_header_is_noticed_and_no_example_lost(
    read: Read, content: str, sign: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A note has the line, the reason, and the columns of texts and labels."""
    content = content.replace(",", "\t") if name == "a.tsv" else content
    examples = read(name, content)
    assert len(examples) == 3
    assert all(len(text) > len(label) for label, text in examples[:2])
    stderr = capfd.readouterr().err
    assert f"{name}, line 1: there are no names of columns: {sign}" in stderr
    assert "texts are taken from column" in stderr


def test_options_decide_where_a_guess_is_wrong(
    read: Read, capfd: pytest.CaptureFixture[str]
) -> None:
    """--header and --no-header; columns by name in any case, or by number."""
    content = "good film,pos\nbad film,neg\n"
    assert read("a.csv", content) == [("neg", "bad film")]
    assert "taken for the names of the columns" in capfd.readouterr().err
    assert read("a.csv", content, header=False) == [("pos", "good film"), ("neg", "bad film")]
    again = "text me,pos\nbad film,neg\nfilm,pos\n"
    assert len(read("a.csv", again, header=True)) == 2
    three = "id,Sentence,Class\n1,x,A\n2,y,B\n"
    for text, label in (("2", "3"), ("sentence", "CLASS"), ("Sentence", "3")):
        examples = read("a.csv", three, text_column=text, label_column=label)
        assert examples == [("A", "x"), ("B", "y")]
    with pytest.raises(DataError, match=r"line 1: no column '7'; found: id, .*--text-column"):
        read("a.csv", three, text_column="7")
    with pytest.raises(DataError, match="'id' would hold both texts and labels"):
        read("a.csv", three, text_column="1", label_column="id")
    numbers = "1,t,d\n2,u,e\n1,v,f\n"
    assert read("a.csv", numbers, text_column="3", label_column="1")[0] == ("1", "d")


def test_usual_names_are_taken_without_a_word(
    read: Read, capfd: pytest.CaptureFixture[str]
) -> None:
    """Usual names are recognized without a note in any case and with spaces around them."""
    rows = "".join(f"x{i},A\n" for i in range(2 * SAMPLE_RECORDS))
    assert len(read("a.csv", " Text,LABEL \n" + rows)) == 2 * SAMPLE_RECORDS
    assert capfd.readouterr().err == ""


def test_a_cell_may_be_a_long_document(read: Read) -> None:
    """Longer than what the csv module takes by itself."""
    text = "one, two\n" * 30_000
    assert read("a.csv", f'text,label\n"{text}",A\n') == [("A", text)]


def test_columns_that_spreadsheets_leave_at_the_end_do_not_matter(read: Read) -> None:
    """Columns without names and cells are ignored."""
    content = "v1,v2,,,\nham,Go on,,,\nspam,Free,,,\nham,ok,,,\n"
    assert read("a.csv", content) == [("ham", "Go on"), ("spam", "Free"), ("ham", "ok")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,sentence,label\n\n1,x,y\n", "line 1: no column 'text'; found: id, sentence, label"),
        ("\n\nid,sentence,label\n1,x,y\n", "line 3: no column 'text'"),
        ("text,label\nx,A\n\ny,B,C\n", "line 4: has 3 columns where the header has 2"),
        ('text,label\n"x\ny",A\ny\n', "line 4: has 1 columns where the header has 2"),
        ("text,label\nx\ry,A\n", "line 2: malformed row: a cell has a carriage return"),
        ("text,text\nx,A\n", "line 1: the header names a column twice"),
        ("text;label\nx;A\nz;B\ny\n", "line 4: has 1 columns where the header has 2: text, label"),
        ('text;label\nx;A\nz;B\n"y;A\n', "line 4: malformed row: a quote opens here"),
        ("hello,A\n", "holds no records; give a file with at least one (a table whose only row"),
    ],
)
def test_faults_are_reported_with_their_line(read: Read, content: str, expected: str) -> None:
    """Line numbers are right after rows of several lines and after empty lines."""
    message = refusal(read, "a.csv", content)
    assert message.startswith(
        f"a.csv, {expected}" if expected.startswith("line") else f"a.csv: {expected}"
    )


def test_a_column_of_texts_alone_may_lack_a_header(tmp_path: Path) -> None:
    """For language models, which read one column."""
    path = tmp_path / "a.csv"
    path.write_text('"Call me Ishmael. Some years ago, I thought"\n"it was, so to say"\n')
    first, second = "Call me Ishmael. Some years ago, I thought", "it was, so to say"
    assert read_documents([str(path)]) == [first, second]
    assert read_documents([str(path)], header=True) == [second]
