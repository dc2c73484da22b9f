"""Stop strings against an oracle on the whole text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.sequences.stop_strings import StopMatcher

letters = st.text(alphabet="ab#", max_size=25)
stops = st.lists(st.text(alphabet="ab#", min_size=1, max_size=5), max_size=3)


def shown(text: str, stop: list[str]) -> tuple[str, bool]:
    """The expected shown text: all before the stop string that is complete first."""
    for end in range(1, len(text) + 1):
        complete = [one for one in stop if text[:end].endswith(one)]
        if complete:
            return text[: end - max(map(len, complete))], True
    return text, False


@given(text=letters, stop=stops, cuts=st.lists(st.integers(0, 25), max_size=8))
def test_visible_text_is_that_of_the_oracle(text: str, stop: list[str], cuts: list[int]) -> None:
    """The visible text is that of the oracle for any division into pieces, and never early."""
    matcher = StopMatcher(stop)
    out = ""
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    read = ""
    for begin, end in pairwise(places):
        out += matcher.push(text[begin:end])
        read += text[begin:end]
        sure, stopped = shown(read, stop)
        assert matcher.stopped == stopped
        assert sure.startswith(out)
        if not stopped:  # exactly the longest ending that may become a stop string is held
            held = read[len(out) :]
            endings = [read[place:] for place in range(len(read))]
            longest = max(
                (e for e in endings if any(s.startswith(e) for s in stop)), key=len, default=""
            )
            assert held == longest
    out += matcher.flush()
    assert (out, matcher.stopped) == shown(text, stop)


def test_nothing_is_held_back_without_stop_strings() -> None:
    """Text is released at once."""
    matcher = StopMatcher([])
    assert matcher.push("anything") == "anything"
    assert matcher.flush() == ""


def test_text_after_a_match_is_dropped() -> None:
    """Text pushed after the end is not released."""
    matcher = StopMatcher(["END"])
    assert matcher.push("the END is near") == "the "
    assert (matcher.push("more"), matcher.flush(), matcher.stopped) == ("", "", True)


def test_an_empty_stop_string_is_refused() -> None:
    """An empty stop string, which would match everywhere, is refused."""
    with pytest.raises(ValueError, match="empty"):
        StopMatcher(["ok", ""])
