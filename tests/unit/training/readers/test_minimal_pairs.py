"""Minimal pairs from files: both formats, attractors from names, bad lines."""

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pytest

from training.errors import DataError
from training.readers.minimal_pairs import MinimalPair, attractors_by_name, read_pairs

ROW = 'prep_anim\tsing_MS_MV_plur_ES\tthe "x" by the dogs is\tthe "x" by the dogs are\n'


@pytest.mark.parametrize("header", ["", "construction\tcondition\tgood\tbad\n"])
@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.tsv.gz"])
def test_tables_are_read(tmp_path: Path, name: str, header: str) -> None:
    """Tables are read compressed or not, with or without a header; quotes are text."""
    content = (header + ROW + "\n").encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    (pair,) = read_pairs([str(tmp_path / name)])
    good, bad = 'the "x" by the dogs is', 'the "x" by the dogs are'
    assert pair == MinimalPair("prep_anim", "sing_MS_MV_plur_ES", good, bad, 1)


def test_json_lines_are_read(tmp_path: Path) -> None:
    """The construction is the UID or else the file's name; the data can give attractors."""
    first = {"sentence_good": "A is.", "sentence_bad": "A are.", "UID": "plain"}
    second = {"sentence_good": "B is.", "sentence_bad": "B are.", "attractors": 3}
    path = tmp_path / "distractor_agreement_x.jsonl"
    path.write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
    one, other = read_pairs([str(path)])
    assert (one.construction, one.attractors) == ("plain", None)
    assert (other.construction, other.attractors) == ("distractor_agreement_x", 3)


@pytest.mark.parametrize(
    ("construction", "condition", "attractors"),
    [
        ("prep_inanim", "plur_IS_IV_sing_ES", 1),
        ("prep_inanim", "sing_IS_IV_sing_ES", 0),
        ("subj_rel", "sing_MS_EV_MV_plur_ES", 1),
        ("obj_rel_no_comp_across_anim", "plur_MS_MV_sing_ES_EV", 1),
        ("obj_rel_within_anim", "sing_ES_EV_plur_MS_MV", 0),
        ("sent_comp", "sing_MS_MV_plur_BS", 0),
        ("simple_agrmt", "plur_MS_MV", 0),
        ("reflexives_across", "sing_MS_ANPHR_plur_ES_EV", 1),
        ("long_vp_coord", "sing_MS_LMV_LMV", None),
        ("npi_across_anim", "future", None),
        ("distractor_agreement_relative_clause", "", 1),
        ("something_else", "", None),
    ],
)
def test_attractors_are_parsed_from_names(
    construction: str, condition: str, attractors: int | None
) -> None:
    """A noun between subject and verb counts if its number is the other one."""
    assert attractors_by_name(construction, condition) == attractors


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("p.tsv", "a\tb\tc\n", "line 1: has 3 columns; expected 4"),
        ("p.tsv", "a\tb\tsame\tsame\n", "line 1: the good and the bad sentence are the same"),
        ("p.tsv", "a\tb\t \tx\n", "line 1: the good sentence is empty"),
        ("p.tsv", "", "holds no pairs"),
        ("p.tsv.gz", "not packed", "cannot be read"),
        ("p.jsonl", '{"sentence_good": "x"}', "expected a string in 'sentence_bad'"),
        ("p.jsonl", '{"sentence_good": "x", "sentence_bad": "y", "attractors": "2"}', "whole"),
        ("p.jsonl", '{"sentence_good": "\\ud800", "sentence_bad": "y"}', "surrogate pair"),
        ("p.txt", "x", "expected a .tsv or .tsv.gz file with the columns construction"),
    ],
)
def test_lines_that_are_no_pair_are_refused(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    """The error has file, line and the expected form."""
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=name) as caught:
        read_pairs([str(tmp_path / name)])
    assert expected in str(caught.value)


def test_a_packed_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """The error names the incomplete file."""
    (tmp_path / "p.tsv.gz").write_bytes(gzip.compress(ROW.encode() * 99)[:-20])
    with pytest.raises(DataError, match="damaged"):
        read_pairs([str(tmp_path / "p.tsv.gz")])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_pairs_are_read_like_other_data(tmp_path: Path, encoding: str) -> None:
    """Compressed in any way, with a byte order mark and Windows line ends, named by their file."""
    (tmp_path / "p.tsv.xz").write_bytes(lzma.compress(ROW.replace("\n", "\r\n").encode(encoding)))
    record = {"sentence_good": "A is.", "sentence_bad": "A are."}
    (tmp_path / "simple.v2.jsonl.bz2").write_bytes(bz2.compress(json.dumps(record).encode()))
    files = [str(tmp_path / name) for name in ("p.tsv.xz", "simple.v2.jsonl.bz2")]
    table, lines = read_pairs(files)
    assert (table.construction, table.bad) == ("prep_anim", 'the "x" by the dogs are')
    assert lines.construction == "simple.v2"
    (tmp_path / "p.tsv.xz").write_bytes(lzma.compress("a\tb\t\u200b\tc\n".encode()))
    with pytest.raises(DataError, match="line 1: the good sentence is empty"):
        read_pairs(files)
