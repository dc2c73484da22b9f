"""The baselines of text classification learn, are saved and are loaded."""

from pathlib import Path

import pytest

from benchmarks.peers.labeled_texts import Texts
from benchmarks.peers.text_models import LOADERS, TRAINERS

TEXTS = Texts(
    ["play a song", "play some jazz", "set an alarm", "wake me with an alarm", "is it cold"] * 5,
    ["music", "music", "alarm", "alarm", "weather"] * 5,
)


@pytest.mark.parametrize(("kind", "package"), [("svm", "sklearn"), ("fasttext", "fasttext")])
def test_a_saved_model_answers_with_a_label_and_its_score(
    tmp_path: Path, kind: str, package: str
) -> None:
    """Training texts get their labels; a text without words gets some answer."""
    pytest.importorskip(package)
    TRAINERS[kind](TEXTS, tmp_path / kind)
    classify = LOADERS[kind](tmp_path / kind)
    assert [classify(text)[0] for text in TEXTS.texts] == TEXTS.labels
    label, score = classify("")
    assert isinstance(label, str)
    assert isinstance(score, float)
