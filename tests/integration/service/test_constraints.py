"""Constrained text over HTTP: exact answers, refusals before the status line, and hostile
expressions beside a stream.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.service.process import RunningService, error_of

HOSTILE = "(a|b)*a(a|b){24}"
REGEXES = {"words": r"( [a-z]+){2,4}", "chars": r" [a-z]{3,9}\.", "bpe": r"( (é|[a-z])+)?,"}


@pytest.fixture(scope="module")
def constrained(models: Path) -> Iterator[RunningService]:
    """A service that stops hostile expressions soon."""
    arguments = ("--default-language-model", "chars", "--pattern-seconds", "1")
    with RunningService(models, *arguments, "--max-pattern-bytes", "300") as running:
        yield running


@pytest.mark.parametrize("model", REGEXES)
def test_a_text_matches_whole_or_streamed(service: RunningService, model: str) -> None:
    """The same text both ways, and a match if it has ended."""
    fields = {"model": model, "prompt": "The keys", "regex": REGEXES[model], "seed": 4}
    whole = service.ask("/generate", **fields, n=3, max_tokens=40)
    for choice in whole["choices"]:
        if choice["finish_reason"] == "end":
            assert re.fullmatch(REGEXES[model], choice["text"])
    *events, end = service.events(**fields, max_tokens=40)
    assert "".join(event["text"] for event in events) == whole["choices"][0]["text"]
    assert end["finish_reason"] == whole["choices"][0]["finish_reason"]


def test_a_text_is_one_of_the_choices(service: RunningService) -> None:
    """Exactly, with the prompt's last space or without it."""
    for prompt, choices in (("The keys", [" to", " on the table"]), ("The ", ["keys", "birds"])):
        fields = {"model": "chars", "prompt": prompt, "choices": choices, "temperature": 3}
        texts = {service.text(**fields, seed=seed) for seed in range(12)}
        assert texts == set(choices)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        ({"regex": "("}, "regex", "unterminated"),
        ({"regex": "(?=a)b"}, "regex", "look-around"),
        ({"regex": "Ω+"}, "regex", "vocabulary"),
        ({"choices": [" the", "Ω"]}, "choices.1", "cannot spell"),
        ({"regex": "a" * 301}, "regex", "at most 300 bytes"),
    ],
)
def test_refusals_name_the_field(
    constrained: RunningService, fields: dict[str, Any], param: str, reason: str, stream: bool
) -> None:
    """A 400 before the status line, also of a stream, which is counted."""
    response = constrained.post("/generate", {"prompt": "The", "stream": stream, **fields})
    assert response.status_code == 400, response.text
    error = error_of(response)
    assert (error["type"], error["param"]) == ("invalid_constraint", param)
    assert reason in error["message"]


def test_regex_and_choices_exclude_each_other(service: RunningService) -> None:
    """And neither is empty."""
    refused: list[dict[str, Any]] = [
        {"regex": "a", "choices": ["a"]},
        {"regex": ""},
        {"choices": []},
    ]
    for fields in refused:
        assert service.post("/generate", fields).status_code == 422


def test_a_hostile_expression_stops_no_stream(constrained: RunningService) -> None:
    """Streams go on while it is compiled, it gets 400 after the time limit, and it is counted."""
    answers: list[int] = []

    def attack() -> None:
        response = constrained.post("/generate", {"prompt": "The", "regex": HOSTILE})
        answers.append(response.status_code)
        assert "too complex" in error_of(response)["message"]

    refused = constrained.metric("unroll_rejected_total", model="chars", reason="constraint")
    attackers = [threading.Thread(target=attack) for _ in range(3)]
    for attacker in attackers:
        attacker.start()
    done = 0
    while any(attacker.is_alive() for attacker in attackers):
        assert constrained.text(prompt="The", max_tokens=10, seed=done)
        done += 1
    assert done > 3
    assert answers == [400] * 3
    now = constrained.metric("unroll_rejected_total", model="chars", reason="constraint")
    assert now == refused + 3


def test_a_state_goes_on_inside_the_constraint(service: RunningService) -> None:
    """The same regex and the state give the rest; another one is a 400."""
    fields = {"model": "chars", "regex": r"( [a-d]{3}){40}", "seed": 3}
    whole = service.text(**fields, prompt="The", max_tokens=30)
    first = service.ask("/generate", **fields, prompt="The", max_tokens=10, return_state=True)
    rest = service.text(**fields, state=first["state"], max_tokens=20)
    assert first["choices"][0]["text"] + rest == whole
    changed = {**fields, "regex": "x+", "state": first["state"]}
    assert error_of(service.post("/generate", changed))["param"] == "regex"
