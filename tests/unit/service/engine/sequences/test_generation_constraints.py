"""Constrained texts of the engine, for every tokenizer and kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.engine.api.errors import InvalidConstraint
from service.engine.api.tasks import Constraint, Generate, Token
from service.engine.runners.engine import EngineOptions
from service.kernel.api.interface import Sampling
from tests.support.service.engine_client import (
    EngineClient,
    finished_of,
    language_model,
    serving,
    text_of,
)

PROMPT = "The keys"
REGEXES = {
    "word": r"( the| on| a(re)?){2,5}(,| dogs)?",
    "char": r" [a-z]+ (is|th[aeo]+)?\n?",
    "bpe": r" ?(dogs?|é+|don't) [^a-t]{1,4}",
}
KINDS = list(REGEXES)


@pytest.fixture(scope="module", params=["native", "torch"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineClient]:
    """An engine with a model of each tokenizer."""
    directory = tmp_path_factory.mktemp("models")
    models = {kind: language_model(directory, kind) for kind in KINDS}
    options = EngineOptions(threads=1, kernel=request.param, pattern_seconds=30.0)
    with serving(models, options) as opened:
        yield opened


def constrained(kind: str, constraint: Constraint, sampling: Sampling, **more: object) -> Generate:
    """A task of three choices."""
    options: dict[str, object] = {"n": 3, "max_tokens": 40, **more}
    return Generate(
        model=kind,
        prompt=PROMPT,
        sampling=sampling,
        constraint=constraint,
        **options,  # type: ignore[arg-type]
    )


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    top_k=st.sampled_from([0, 1, 4]),
    top_p=st.sampled_from([1.0, 0.5]),
    min_p=st.sampled_from([0.0, 0.2]),
    repetition_penalty=st.sampled_from([1.0, 1.5]),
    presence_penalty=st.sampled_from([0.0, 1.0]),
    logit_bias=st.sampled_from([(), ((0, 100.0), (3, 100.0), (5, -100.0))]),
    seed=st.integers(0, 2**64 - 1),
)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(KINDS),
    sampling=samplings,
    logprobs=st.sampled_from([None, 2]),
    stop=st.sampled_from([(), ("zzzz",)]),
)
def test_texts_match(
    served: EngineClient, kind: str, sampling: Sampling, logprobs: int | None, stop: tuple[str, ...]
) -> None:
    """A text that has ended is a match, with any option; all choices of a prompt are."""
    constraint = Constraint(field="regex", regex=REGEXES[kind])
    task = constrained(kind, constraint, sampling, logprobs=logprobs, stop=stop)
    events = served.ask(task)
    for index, finished in finished_of(events).items():
        text = text_of(events, index)
        if finished.reason == "end":
            assert re.fullmatch(REGEXES[kind], text)
        else:
            assert finished.completion_tokens == 40


@pytest.mark.parametrize("kind", KINDS)
def test_choices_are_given_exactly(served: EngineClient, kind: str) -> None:
    """Each text is one of them, also where one begins with another, and each of them is drawn."""
    choices = (" the", " the table", " on the table,")
    constraint = Constraint(field="choices", choices=choices)
    drawn = set()
    for seed in range(25):
        events = served.ask(constrained(kind, constraint, Sampling(temperature=5.0, seed=seed)))
        ended = finished_of(events)
        assert {finished.reason for finished in ended.values()} == {"end"}
        drawn |= {text_of(events, index) for index in ended}
    assert drawn == set(choices)


def test_log_probabilities_are_those_of_the_model(served: EngineClient) -> None:
    """They are reported as without a constraint: of the whole distribution."""
    constraint = Constraint(field="choices", choices=(" on",))
    task = constrained("char", constraint, Sampling(), n=1, logprobs=0, max_tokens=3)
    tokens = [event.token for event in served.ask(task) if isinstance(event, Token)]
    free = constrained("char", constraint, Sampling(), n=1, logprobs=20, max_tokens=3)
    alternatives = [event.token for event in served.ask(free) if isinstance(event, Token)]
    for token, listed in zip(tokens, alternatives, strict=True):
        assert token is not None
        assert listed is not None
        assert token.logprob < -0.01
        assert dict(listed.top).get(token.text, token.logprob) == pytest.approx(token.logprob)


def test_impossible_constraints_are_refused_at_once(served: EngineClient) -> None:
    """Before anything is generated."""
    for constraint in (
        Constraint(field="regex", regex="Zebra"),
        Constraint(field="choices", choices=(" the", "Zebra")),
    ):
        with pytest.raises(InvalidConstraint):
            served.submit(constrained("char", constraint, Sampling()))
