"""Tasks that the engine refuses, and the errors."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from service.engine.api.errors import InvalidTask, UnknownModel, WrongKind
from service.engine.api.tasks import Classify, Generate, NextWord
from service.engine.runners.engine import EngineOptions
from service.kernel.api.interface import Sampling
from tests.support.service.engine_client import classifier, language_model, serving


def _sampled(**options: float) -> Generate:
    return Generate(model="m", prompt="", max_tokens=1, sampling=replace(Sampling(), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "error", "message"),
    [
        (Generate(model="x", prompt="", max_tokens=1), UnknownModel, "no model is named 'x'"),
        (Classify(model="m", texts=("a",)), WrongKind, "'m' is a language-model"),
        (Generate(model="c", prompt="", max_tokens=1), WrongKind, "'c' is a classifier"),
        (NextWord(model="c", prompt=""), WrongKind, "needs a language-model"),
        (Generate(model="m", prompt="", max_tokens=-1), InvalidTask, "max_tokens"),
        (Generate(model="m", prompt="", max_tokens=1, stop=("",)), InvalidTask, "stop"),
        (Generate(model="m", prompt="", max_tokens=1, n=0), InvalidTask, "n: "),
        (Generate(model="m", prompt="", max_tokens=1, logprobs=-1), InvalidTask, "logprobs"),
        (_sampled(seed=2**64), InvalidTask, "seed: expected 0 to"),
        (_sampled(temperature=math.nan), InvalidTask, "temperature"),
        (_sampled(temperature=-1.0), InvalidTask, "temperature"),
        (_sampled(repetition_penalty=0.0), InvalidTask, "repetition_penalty"),
        (_sampled(top_p=2.0), InvalidTask, "top_p"),
        (Generate(model="m", prompt=(10**9,), max_tokens=1), InvalidTask, "prompt: .*token ids"),
        (Generate(model="m", prompt=(-1,), max_tokens=1), InvalidTask, "prompt: .*token ids"),
        (Generate(model="m", prompt="\udc80", max_tokens=1), InvalidTask, "prompt: .*Unicode"),
        (Generate(model="m", prompt="a" * 101, max_tokens=1), InvalidTask, "prompt: .*100 tokens"),
        (NextWord(model="m", prompt="", top=0), InvalidTask, "top"),
        (Classify(model="c", texts=()), InvalidTask, "texts"),
        (Classify(model="c", texts=("\ud800",)), InvalidTask, "texts"),
    ],
)
def test_invalid_tasks_are_refused_at_once(
    tmp_path: Path, task: Generate, error: type[Exception], message: str
) -> None:
    """The error names the field; nothing is queued and the engine goes on."""
    options = EngineOptions(threads=1, prompt_tokens=100)
    with serving({"m": language_model(tmp_path), "c": classifier(tmp_path)}, options) as served:
        with pytest.raises(error, match=message):
            served.submit(task)
        served.ask(Generate(model="m", prompt="a", max_tokens=2))
