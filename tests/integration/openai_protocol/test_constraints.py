"""Constrained text by the names of vLLM, with the published client."""

from __future__ import annotations

import re
from typing import Any

import openai
import pytest
from openai.types import Completion

REGEX = r" [a-z]{4,8}\."
CHOICES = [" the table", " the keys"]


def ask(client: openai.OpenAI, body: dict[str, Any], **fields: Any) -> Completion:
    """A completion with fields that the client does not know."""
    fields = {"model": "chars", "prompt": "The keys", "seed": 1, "max_tokens": 40, **fields}
    answer = client.completions.create(**fields, extra_body=body)
    assert isinstance(answer, Completion)
    return answer


@pytest.mark.parametrize(
    "body", [{"guided_regex": REGEX}, {"structured_outputs": {"regex": REGEX}}]
)
def test_a_text_matches_the_regex(client: openai.OpenAI, body: dict[str, Any]) -> None:
    """Every choice of every prompt, and the best of several."""
    answer = ask(client, body, prompt=["The keys", "A dog"], n=2, best_of=3)
    assert len(answer.choices) == 4
    for choice in answer.choices:
        assert re.fullmatch(REGEX, choice.text)
        assert choice.finish_reason == "stop"


@pytest.mark.parametrize(
    "body", [{"guided_choice": CHOICES}, {"structured_outputs": {"choice": CHOICES}}]
)
def test_a_text_is_one_of_the_choices(client: openai.OpenAI, body: dict[str, Any]) -> None:
    """Whole and streamed."""
    texts = {ask(client, body, temperature=2, seed=seed).choices[0].text for seed in range(10)}
    assert texts == set(CHOICES)
    stream = client.completions.create(
        model="chars", prompt="The keys", max_tokens=40, stream=True, extra_body=body
    )
    assert "".join(chunk.choices[0].text for chunk in stream) in CHOICES


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"guided_regex": "("}, "guided_regex"),
        ({"guided_choice": ["Ω"]}, "guided_choice.0"),
        ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex"),
        ({"structured_outputs": {"choice": [" the", "Ω"]}}, "structured_outputs.choice.1"),
        ({"structured_outputs": {"json": {"type": "object"}}}, "structured_outputs.json"),
        ({"guided_json": {"type": "object"}}, "guided_json"),
        ({"guided_regex": "a", "guided_choice": ["a"]}, "guided_choice"),
    ],
)
def test_refusals_name_the_field(client: openai.OpenAI, body: dict[str, Any], param: str) -> None:
    """A 400 with the name that the client has used."""
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, body)
    assert refused.value.param == param


def test_what_changes_nothing_is_accepted(client: openai.OpenAI) -> None:
    """Neutral values of other fields of vLLM, and a backend that is not chosen here."""
    body = {
        "structured_outputs": {"json": None, "disable_fallback": True},
        "guided_grammar": None,
        "guided_decoding_backend": "outlines",
    }
    assert (
        ask(client, body, max_tokens=2).choices[0].text
        == ask(client, {}, max_tokens=2).choices[0].text
    )
