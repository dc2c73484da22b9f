"""The engine's bounds on tasks: the first and the last value of each range."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from service.engine.api.errors import InvalidTask
from service.engine.api.tasks import Generate, NextWord, Score
from service.engine.sequences.task_bounds import (
    SAMPLING_BOUNDS,
    check_generate,
    check_next_word,
    check_sampling,
    check_texts,
)
from service.kernel.api.interface import Sampling

TASK = Generate(model="m", prompt="", max_tokens=1)


def sampling(field: str, value: float) -> Sampling:
    """The default options but for one."""
    return replace(Sampling(), **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", SAMPLING_BOUNDS)
def test_both_ends_of_a_sampling_range_are_allowed(field: str) -> None:
    """The values beyond the ends, infinity and NaN are refused under the field's name."""
    for value in SAMPLING_BOUNDS[field]:
        check_sampling(sampling(field, value))
    lowest, highest = SAMPLING_BOUNDS[field]
    step = 1 if isinstance(highest, int) else 0.001
    for value in (lowest - step, highest + step, math.inf, math.nan):
        with pytest.raises(InvalidTask, match=f"{field}: expected {lowest} to {highest}"):
            check_sampling(sampling(field, value))


@pytest.mark.parametrize(
    ("task", "field"),
    [
        (replace(TASK, n=0), "n"),
        (replace(TASK, n=5), "n"),
        (replace(TASK, max_tokens=-1), "max_tokens"),
        (replace(TASK, stop=("a", "")), "stop"),
        (replace(TASK, logprobs=-1), "logprobs"),
        (replace(TASK, return_state=True, n=2), "return_state"),
        (replace(TASK, return_state=True, max_tokens=0), "return_state"),
        (replace(TASK, sampling=Sampling(top_p=1.5)), "top_p"),
    ],
)
def test_a_generation_out_of_range_is_refused(task: Generate, field: str) -> None:
    """The error has the field's name."""
    with pytest.raises(InvalidTask) as refusal:
        check_generate(task, rows=4, most_choices=8)
    assert refusal.value.field == field


def test_a_generation_within_the_ranges_is_allowed() -> None:
    """The largest allowed values are as many choices as rows, and a state of one choice."""
    check_generate(replace(TASK, n=4, logprobs=0, stop=("a",)), rows=4, most_choices=8)
    check_generate(replace(TASK, return_state=True), rows=4, most_choices=8)
    check_generate(replace(TASK, max_tokens=0, echo=True), rows=4, most_choices=8)


def test_scores_and_next_words_have_bounds() -> None:
    """A score needs one text at least and as many as fit at most; a next word needs one."""
    check_texts(Score(model="m", texts=("a", "b")), most_texts=2)
    check_next_word(NextWord(model="m", prompt="", top=1))
    for texts in ((), ("a", "b", "c")):
        with pytest.raises(InvalidTask, match="texts: expected 1 to 2 texts"):
            check_texts(Score(model="m", texts=texts), most_texts=2)
    with pytest.raises(InvalidTask, match="top: expected 1 or more, got 0"):
        check_next_word(NextWord(model="m", prompt="", top=0))
