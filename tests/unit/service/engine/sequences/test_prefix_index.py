"""The index of token texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.engine.sequences.prefix_index import PrefixIndex

TEXTS = st.dictionaries(st.integers(0, 50), st.text("ab", max_size=4).map(str.encode))


@given(TEXTS, st.text("ab", max_size=5).map(str.encode))
def test_the_index_finds_what_a_loop_finds(text_of: dict[int, bytes], text: bytes) -> None:
    """Tokens that begin with a text, tokens that it begins with, and the text itself."""
    index = PrefixIndex(text_of)
    starting = sorted(token for token, other in text_of.items() if other.startswith(text))
    prefixes = sorted(
        token
        for token, other in text_of.items()
        if other and text.startswith(other) != (text == other)
    )
    assert index.starting_with(text).tolist() == starting
    assert index.prefixes_of(text).tolist() == prefixes
    assert (text in index) == (text in text_of.values())
