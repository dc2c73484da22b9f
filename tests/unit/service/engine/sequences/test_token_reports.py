"""Texts and names of reported tokens."""

from __future__ import annotations

from model.tokenization.tokenizer import Piece
from service.engine.sequences.token_reports import TokenReports
from service.kernel.api.interface import Scored
from tests.support.service.engine_client import tokenizer_of


def test_names_tell_tokens_apart() -> None:
    """A part of a character is named by its bytes, the end as [END], an unknown word by itself."""
    bpe = tokenizer_of("bpe")
    first, second = bpe.encode("é")
    reports = TokenReports(bpe, named=True)
    top = ((second, -0.5), (bpe.end, -1.0))
    report = reports.generated(Scored(first, -2.0, top))
    assert report.names == ("bytes:\\xc3", "bytes:\\xa9", "[END]")
    assert report.text == "\ufffd"
    words = tokenizer_of("word")
    assert words.unknown is not None
    scored = Scored(words.unknown, -1.0, ((words.unknown, -1.0),))
    (echoed,) = TokenReports(words, named=True).echoed([scored], [Piece(words.unknown, " zebra")])
    assert echoed.text == " zebra"
    assert echoed.names == (" zebra", " zebra")
    assert echoed.top == (("[UNK]", -1.0),)


def test_names_are_left_out_unless_asked_for() -> None:
    """/generate reports texts alone; a prompt without scores has no tokens."""
    reports = TokenReports(tokenizer_of("word"), named=False)
    assert reports.generated(Scored(1, -1.0)).names == ()
    assert reports.echoed([], [Piece(1, "The")]) == ()
