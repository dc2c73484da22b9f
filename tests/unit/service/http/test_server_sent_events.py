"""The lines of a stream: one for each token, however many tokens share an event."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from service.engine.api.tasks import Token
from service.http.server_sent_events import frames

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.integers(0, 15), st.lists(TEXTS, min_size=1, max_size=20))
def test_tokens_of_one_turn_are_a_line_each(index: int, texts: list[str]) -> None:
    """The lines of a joint event are those of an event for each token, and hold its JSON."""
    joint = Token(index, "".join(texts), texts=tuple(texts))
    single = [Token(index, text) for text in texts]
    body = b"".join(frames([joint]))
    assert body == b"".join(frames(single))
    lines = body.decode().split("\n\n")
    assert lines.pop() == ""
    assert [json.loads(line.removeprefix("data: ")) for line in lines] == [
        {"index": index, "text": text} for text in texts
    ]
