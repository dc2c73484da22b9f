"""Constrained texts in parts: states, stop strings, drains, and other constraints."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import pytest

from model.artifact import Artifact
from service.engine.api.errors import InvalidConstraint
from service.engine.api.tasks import Constraint, Generate
from service.kernel.api.interface import Sampling
from tests.support.service.continuing import OPTIONS, ask, last
from tests.support.service.engine_client import (
    EngineClient,
    serving,
    text_of,
)
from tests.unit.service.engine.states.test_trail import (
    answer,
    answer_in_pieces,
    check_equal,
    endless,
)

BOUND = Constraint(field="regex", regex=r"(( [a-d]{3}){2},)+")
LONG = 25


@pytest.fixture(scope="module", params=["char", "bpe"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A model whose texts end only where their constraint ends them."""
    return endless(tmp_path_factory.mktemp("models"), request.param)


@pytest.fixture(scope="module")
def served(artifact: Artifact) -> Iterator[EngineClient]:
    """An engine."""
    with serving({"m": artifact}, OPTIONS) as opened:
        yield opened


@pytest.fixture(scope="module")
def other(artifact: Artifact) -> Iterator[EngineClient]:
    """Another engine with the same key."""
    with serving({"m": artifact}, OPTIONS) as opened:
        yield opened


def bound(prompt: str = "The", max_tokens: int = LONG, **more: object) -> Generate:
    """A constrained task."""
    return dataclasses.replace(ask(prompt, max_tokens, **more), constraint=BOUND)


def rest(state: str | None, max_tokens: int, **more: object) -> Generate:
    """The continuation, on the random numbers of the state."""
    return bound("", max_tokens, state=state, seed_is_given=False, **more)


@pytest.mark.parametrize("cut", [1, 2, 7, 13])
@pytest.mark.parametrize("sampling", [Sampling(seed=3), Sampling(temperature=0.0)])
def test_a_text_goes_on_inside_its_constraint(
    served: EngineClient, other: EngineClient, cut: int, sampling: Sampling
) -> None:
    """Two parts on two engines are the whole, wherever it is cut."""
    whole, _ = last(served, bound(sampling=sampling))
    first, ended = last(served, bound(max_tokens=cut, sampling=sampling, return_state=True))
    second, _ = last(other, rest(ended.state, LONG - cut, sampling=sampling))
    assert first + second == whole
    assert re.fullmatch(r"((?: [a-d]{3}){2},)*[ a-d]*", whole)


@pytest.mark.parametrize("logprobs", [None, 0])
def test_a_stop_string_does_not_lose_the_place(
    served: EngineClient, other: EngineClient, logprobs: int | None
) -> None:
    """The text that it cut comes first, and what follows fits it."""
    sampling = Sampling(seed=5)
    whole, _ = last(served, bound(sampling=sampling))
    stopped = bound(sampling=sampling, stop=(whole[4:6],), return_state=True, logprobs=logprobs)
    first, ended = last(served, stopped)
    assert ended.reason == "stop"
    second, _ = last(other, rest(ended.state, LONG - ended.completion_tokens, logprobs=logprobs))
    assert first + second == whole


@pytest.mark.parametrize("stop", [(), ("never", " abc"), (" a", ", b")])
@pytest.mark.parametrize("logprobs", [None, 0])
def test_a_drained_text_goes_on_inside_its_constraint(
    artifact: Artifact, stop: tuple[str, ...], logprobs: int | None
) -> None:
    """In pieces, each on another engine, it is the whole text, also if some was withheld."""
    task = bound(max_tokens=60, sampling=Sampling(seed=8), stop=stop, logprobs=logprobs)
    whole = answer(artifact, task)
    check_equal(whole, answer_in_pieces(artifact, task, [2, 1, 3]))
    assert re.fullmatch(r"((?: [a-d]{3}){2},)*[ a-d]*", text_of(whole))


def test_a_text_inside_another_constraint_is_refused(served: EngineClient) -> None:
    """Without a prompt, the constraint must be that of the state; without one, the text goes on
    freely; after a prompt, or after an end, it begins anew.
    """
    _, ended = last(served, bound(max_tokens=3, return_state=True))
    changed = Constraint(field="regex", regex="[a-d]+")
    with pytest.raises(InvalidConstraint, match="another constraint"):
        served.submit(dataclasses.replace(rest(ended.state, 5), constraint=changed))
    free, _ = last(served, dataclasses.replace(rest(ended.state, 30), constraint=None))
    assert set(free) - set(" abcd,")
    anew = dataclasses.replace(rest(ended.state, 5), prompt="on", constraint=changed)
    assert re.fullmatch("[a-d]+", last(served, anew)[0])
    again, _ = last(served, dataclasses.replace(rest(ended.state, 40), prompt="on"))
    assert again.startswith(" ")
    choice = Constraint(field="choices", choices=(" on",))
    whole = dataclasses.replace(bound(return_state=True), constraint=choice)
    text, ended = last(served, whole)
    assert (text, ended.reason) == (" on", "end")
    assert last(served, dataclasses.replace(rest(ended.state, 9), constraint=choice))[0] == " on"
