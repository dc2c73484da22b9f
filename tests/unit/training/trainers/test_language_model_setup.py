"""The data and the untrained network of a language-model run."""

import math
from pathlib import Path

from tests.support.training.synthetic_corpus import text
from training.config.language_model import LanguageModelRecipe
from training.runs.directory import RunDirectory
from training.trainers.language_model_setup import build_network, prepare_setup


def test_an_untrained_network_expects_words_as_often_as_they_are(tmp_path: Path) -> None:
    """The bias of an untrained output layer gives the word frequencies of the training data."""
    file = tmp_path / "text.txt"
    file.write_text(text(300), encoding="utf-8")
    recipe = LanguageModelRecipe(train=(str(file),), precision="float32", minutes=1.0)
    setup = prepare_setup(recipe, RunDirectory(tmp_path / "model"), None)
    network = build_network(setup)
    counts_V = setup.train.counts(setup.tokenizer.size)
    word, often = int(counts_V.argmax()), int(counts_V.max())
    predicted_V = network.output.bias.detach().softmax(0)
    assert math.isclose(float(predicted_V.sum()), 1.0, rel_tol=1e-5)
    expected = (often + 1) / (len(setup.train) + setup.tokenizer.size)
    assert math.isclose(float(predicted_V[word]), expected, rel_tol=1e-4)
