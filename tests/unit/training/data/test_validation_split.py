"""What is held out of a text for validation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.training.synthetic_corpus import text
from training.data.validation_split import find_cut, parts_after, parts_before, split_documents
from training.readers.documents import DocumentPart, join_parts

DOCUMENTS = st.lists(st.text("ab \n", min_size=1, max_size=60), min_size=1, max_size=40)


@given(documents=DOCUMENTS, share=st.floats(0.01, 0.5))
def test_the_validation_split_is_the_end_of_the_text(documents: list[str], share: float) -> None:
    """The split loses, repeats and moves no text."""
    kept, held = split_documents(documents, share)
    assert "".join(kept + held) == "".join(documents)
    if len(documents) > 1 or len(documents[0]) > 1:
        assert kept
        assert held


@given(documents=DOCUMENTS, share=st.floats(0.01, 0.5), size=st.integers(1, 20))
def test_documents_in_parts_are_divided_alike(
    documents: list[str], share: float, size: int
) -> None:
    """Wherever the parts end."""
    parts = [
        DocumentPart(document[begin : begin + size], opens=begin == 0)
        for document in documents
        for begin in range(0, len(document), size)
    ]
    place = find_cut(parts, share)
    if place is None:
        assert sum(map(len, documents)) == 1
        return
    divided = join_parts(parts_before(parts, place)), join_parts(parts_after(parts, place))
    assert divided == split_documents(documents, share)


def test_one_long_document_is_cut_at_a_line() -> None:
    """About as much is held out as was asked for."""
    kept, held = split_documents([text(1000)], 0.05)
    assert kept[0].endswith("\n")
    assert len(held[0]) / len(kept[0] + held[0]) == pytest.approx(0.05, abs=0.01)


def test_of_many_documents_whole_ones_are_held_out() -> None:
    """The last ones."""
    documents = [f"document {index}" for index in range(100)]
    kept, held = split_documents(documents, 0.1)
    assert held == documents[-len(held) :]
    assert 9 <= len(held) <= 11
    assert kept == documents[: -len(held)]
