"""The choices of a stream over several responses, without a service."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unroll_client.errors import MalformedAnswerError, StreamInterruptedError
from unroll_client.resuming import StreamFollower

WHOLE = [f"w{number} " for number in range(12)]


def finish(reason: str, index: int, generated: int, **more: Any) -> dict[str, Any]:
    """The last event of a choice."""
    usage = {"prompt_tokens": 3, "cached_tokens": 1, "completion_tokens": generated}
    return {"index": index, "finish_reason": reason, "usage": usage, "seed": 7, **more}


def serve(body: dict[str, Any], tokens: int) -> list[dict[str, Any]]:
    """A replica that drains after ``tokens`` tokens of each choice. Its state is a position."""
    start = int(body.get("state", 0))
    events: list[dict[str, Any]] = []
    for index in range(body.get("n", 1)):
        count = min(tokens, body["max_tokens"])
        events += [{"index": index, "text": text} for text in WHOLE[start : start + count]]
        if count == body["max_tokens"]:
            events.append(finish("length", index, count))
        elif count:
            events.append(finish("drained", index, count, state=str(start + count)))
        else:
            events.append(finish("drained", index, 0))
    return events


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=10), st.integers(1, 3))
def test_texts_are_whole_after_any_drains(drains: list[int], count: int) -> None:
    """Every choice has its whole text, its tokens are counted once, and the seed is kept."""
    follower = StreamFollower({"prompt": "p", "n": count, "max_tokens": len(WHOLE)})
    left = iter(drains)
    while (body := follower.body) is not None:
        if "state" in body:
            assert "prompt" not in body
        for event in serve(body, next(left, len(WHOLE))):
            follower.take(event)
        follower.response_ended()
    result = follower.result()
    assert [choice.text for choice in result.choices] == ["".join(WHOLE)] * count
    assert result.usage.completion_tokens == len(WHOLE) * count
    assert result.usage.prompt_tokens == 3
    assert result.seed == 7
    assert follower.resumptions <= len(drains) * count


def test_a_choice_without_a_state_is_asked_for_again() -> None:
    """Nothing of it was sent: the first request is repeated with its seed, and the events of its
    other choices are dropped.
    """
    follower = StreamFollower({"prompt": "p", "n": 2, "max_tokens": 5})
    follower.take({"index": 0, "text": "a"})
    follower.take(finish("end", 0, 1))
    follower.take(finish("drained", 1, 0))
    follower.response_ended()
    assert follower.body is not None
    assert follower.body["seed"] == 7
    assert follower.body["n"] == 2
    assert follower.take({"index": 0, "text": "a"}) is None
    follower.take({"index": 1, "text": "b"})
    follower.take(finish("end", 0, 1))
    follower.take(finish("end", 1, 1))
    follower.response_ended()
    assert [choice.text for choice in follower.result().choices] == ["a", "b"]
    assert follower.resumptions == 1


def test_a_response_that_ends_early_interrupts() -> None:
    """The error has the texts so far."""
    follower = StreamFollower({"prompt": "p", "max_tokens": 5})
    follower.take({"index": 0, "text": "so far"})
    with pytest.raises(StreamInterruptedError) as caught:
        follower.response_ended()
    assert caught.value.texts == {0: "so far"}
    with pytest.raises(ValueError, match="not ended"):
        follower.result()


def test_an_error_event_interrupts() -> None:
    """An error after the status line is the reason of the interruption."""
    follower = StreamFollower({"prompt": "p", "max_tokens": 5})
    with pytest.raises(StreamInterruptedError, match="too slow"):
        follower.take({"error": {"type": "slow_reader", "message": "too slow", "param": None}})


def test_replicas_that_always_drain_have_an_end() -> None:
    """A stream that makes no progress is given up."""
    follower = StreamFollower({"prompt": "p", "max_tokens": 5})
    for _ in range(999):
        follower.take(finish("drained", 0, 0))
        follower.response_ended()
    follower.take(finish("drained", 0, 0))
    with pytest.raises(StreamInterruptedError, match="drained 1000 times"):
        follower.response_ended()


def test_events_of_others_are_refused() -> None:
    """An event without an index is not one of Unroll."""
    with pytest.raises(MalformedAnswerError, match="index"):
        StreamFollower({"max_tokens": 5}).take({"text": "x"})
