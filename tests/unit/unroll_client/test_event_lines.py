"""Events from bytes that arrive in any parts."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll_client.errors import MalformedAnswerError
from unroll_client.event_lines import EventLines

# Line separators of Unicode, which JSON leaves as they are.
TEXTS = st.text(st.sampled_from("a\n\r\u2028\u0085é😀:"), max_size=8)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6), st.lists(st.integers(0, 300), max_size=8))
def test_events_do_not_depend_on_the_parts(texts: list[str], cuts: list[int]) -> None:
    """Events have the texts that were sent, wherever the bytes are divided."""
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    sent = b": ping\n\n" + "".join(f"data: {line}\n\n" for line in lines).encode()
    bounds = sorted({0, len(sent), *(min(cut, len(sent)) for cut in cuts)})
    parser = EventLines()
    events = [event for begin, end in pairwise(bounds) for event in parser.feed(sent[begin:end])]
    assert [event["text"] for event in events] == texts


@pytest.mark.parametrize("line", [b"data: {\n", b"data: 3\n", b"data: \xff\n"])
def test_other_events_are_refused(line: bytes) -> None:
    """A line that is no JSON object is an error of the answer."""
    with pytest.raises(MalformedAnswerError, match="event"):
        list(EventLines().feed(line))
