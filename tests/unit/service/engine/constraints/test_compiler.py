"""The compiler of a model: what it keeps, what it refuses, and its memory."""

from __future__ import annotations

import pytest

from service.engine.api.errors import ConstraintMemoryFull, InvalidConstraint
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Constraint
from service.engine.constraints.compiler import ConstraintCompiler
from tests.support.service.engine_client import tokenizer_of


def compiler(kind: str = "char", **options: float) -> ConstraintCompiler:
    """A compiler for a small tokenizer."""
    return ConstraintCompiler(tokenizer_of(kind), EngineOptions(**options))  # type: ignore[arg-type]


def choices(*texts: str) -> Constraint:
    """A constraint to some texts."""
    return Constraint(field="choices", choices=texts)


def long_choice(letter: str) -> Constraint:
    """One that takes a few kilobytes."""
    return choices(letter * 400)


def test_constraints_are_kept() -> None:
    """The second time it is the same object, also under another name."""
    own = compiler()
    assert not own.knows(choices("the", "dog"))
    first = own.compile(choices("the", "dog"))
    assert own.knows(choices("the", "dog"))
    assert own.compile(Constraint(field="guided_choice", choices=("the", "dog"))) is first
    assert own.compile(choices("dog", "the")) is not first


def test_the_one_used_longest_ago_is_dropped() -> None:
    """Within the memory, in the order of use."""
    nbytes = compiler().compile(long_choice("a")).nbytes
    own = compiler(constraint_bytes=2 * nbytes)
    for letter in "abab":
        own.compile(long_choice(letter))
    own.compile(long_choice("c"))
    assert [own.knows(long_choice(letter)) for letter in "abc"] == [False, True, True]


def test_constraints_in_use_take_memory() -> None:
    """While a request holds one, another one that does not fit beside it is refused for now."""
    nbytes = compiler().compile(long_choice("a")).nbytes
    own = compiler(constraint_bytes=nbytes * 3 // 2)
    in_use = own.compile(long_choice("a"))
    with pytest.raises(ConstraintMemoryFull):
        own.compile(long_choice("b"))
    assert in_use.states
    del in_use
    assert own.compile(long_choice("b")).states


@pytest.mark.parametrize(
    ("constraint", "field", "reason"),
    [
        (choices("the", "Zoë"), "choices.1", "cannot spell 'Zoë'"),
        (choices("e" * 600), "choices", "at most 500 bytes, got 600"),
        (Constraint(field="guided_regex", regex="e" * 501), "guided_regex", "at most 500 bytes"),
        (Constraint(field="regex", regex="Z+"), "regex", "this model's vocabulary spells no text"),
        (Constraint(field="regex", regex="(e|t)*e(e|t){22}"), "regex", "too complex"),
        (Constraint(field="regex", regex="e{"), "regex", "not a regular expression"),
    ],
)
def test_refusals_name_the_field(constraint: Constraint, field: str, reason: str) -> None:
    """With what is wrong."""
    own = compiler(pattern_bytes=500, pattern_seconds=0.5 if "{22}" in str(constraint) else 20.0)
    with pytest.raises(InvalidConstraint, match=reason) as refused:
        own.compile(constraint)
    assert refused.value.field == field
