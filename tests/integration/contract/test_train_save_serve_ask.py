"""Training, saving, serving and requests end to end, over a socket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.service.process import RunningService

SENTENCES = (
    "the small dog sees the old cat .",
    "the old cat hears the small bird .",
    "a small bird sings in the green tree .",
    "the green tree stands near the house .",
)


SOFTMAXES = {"full": "", "adaptive": "--softmax adaptive --cutoffs 6 12 --division 2"}


@pytest.fixture(scope="module", params=SOFTMAXES)
def trained(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A directory with one language model that was trained for a few seconds."""
    directory = tmp_path_factory.mktemp("trained")
    text = directory / "text.txt"
    text.write_text("\n".join(SENTENCES * 60) + "\n", encoding="utf-8")
    command = (
        f"lm --train {text} --valid {text} --tokenizer word --cell lstm --steps 300 "
        f"--embedding 24 --hidden 24 --layers 1 --out {directory / 'models' / 'tiny'} "
        f"{SOFTMAXES[request.param]}"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "training", *command.split()],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return directory / "models"


def test_a_trained_model_answers(trained: Path) -> None:
    """The model continues, predicts and scores sentences of its training text better than
    others.
    """
    with RunningService(trained) as service:
        (model,) = service.client.get("/models").json()["models"]
        assert model["kind"] == "language-model"
        assert model["metrics"]
        words = service.ask("/next-word", prompt="the small", top=3)["words"]
        assert {word["word"] for word in words} >= {"dog", "bird"}
        seen, scrambled = service.ask(
            "/score", texts=[SENTENCES[0], "cat . the old sees dog small the"]
        )["results"]
        assert seen["perplexity"] < scrambled["perplexity"] / 3
        known = set(" ".join(SENTENCES).split())
        text = service.text(prompt="the", max_tokens=12, temperature=0.5, seed=1)
        assert text.split()
        assert set(text.split()) <= known
