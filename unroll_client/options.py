"""The options of requests and their bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

DEFAULT_MAX_TOKENS = 100  # of the service; a stream that is resumed counts what is left of it


class GenerateOptions(TypedDict, total=False):
    """The options of a generation besides the prompt; None is the same as not given.

    The reference of the HTTP API describes each of them.
    """

    model: str | None
    max_tokens: int | None
    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logit_bias: dict[str, float] | None
    stop: str | Sequence[str] | None
    regex: str | None
    choices: Sequence[str] | None
    seed: int | None
    n: int | None
    logprobs: int | None
    echo: bool | None
    end: bool | None
    return_state: bool | None
    state: str | None
    deadline_ms: int | None
    more: dict[str, Any] | None
    """Fields that a newer service has, which are sent as they are."""


def generate_body(prompt: str, options: GenerateOptions) -> dict[str, Any]:
    """The body of /generate. An empty prompt beside a state is left out."""
    fields = dict(options)
    more: Any = fields.pop("more", None) or {}
    body = {**given(fields), **more}
    if prompt or "state" not in body:
        body["prompt"] = prompt
    return body


def stream_body(prompt: str, options: GenerateOptions) -> dict[str, Any]:
    """The body of a /generate with stream, with the number of tokens that a continuation needs."""
    return {"max_tokens": DEFAULT_MAX_TOKENS, **generate_body(prompt, options), "stream": True}


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that have a value; sequences other than strings become lists."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in fields.items()
        if value is not None
    }


def classify_body(texts: str | Sequence[str], fields: dict[str, Any]) -> dict[str, Any]:
    """The body of /classify: one text, or several."""
    if isinstance(texts, str):
        return {"text": texts, **given(fields)}
    return {"texts": list(texts), **given(fields)}
