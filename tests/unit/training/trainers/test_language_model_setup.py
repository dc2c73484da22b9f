"""What is decided before a language model's first step."""

import math
from pathlib import Path

from tests.support.training.synthetic_corpus import text
from training.config.language_model import LanguageModelRecipe
from training.runs.directory import RunDirectory
from training.trainers.language_model_setup import build_network, prepare


def test_an_untrained_network_expects_words_as_often_as_they_are(tmp_path: Path) -> None:
    """So that training need not find out first, least of all for words that are seldom met."""
    file = tmp_path / "text.txt"
    file.write_text(text(300), encoding="utf-8")
    recipe = LanguageModelRecipe(train=(str(file),), precision="float32", minutes=1.0)
    prepared = prepare(recipe, RunDirectory(tmp_path / "model"), None)
    network = build_network(prepared)
    counts_V = prepared.train.counts(prepared.tokenizer.size)
    word, often = int(counts_V.argmax()), int(counts_V.max())
    predicted_V = network.output.bias.detach().softmax(0)
    assert math.isclose(float(predicted_V.sum()), 1.0, rel_tol=1e-5)
    expected = (often + 1) / (len(prepared.train) + prepared.tokenizer.size)
    assert math.isclose(float(predicted_V[word]), expected, rel_tol=1e-4)
