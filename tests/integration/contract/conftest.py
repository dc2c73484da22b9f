"""A service with models of every cell and depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from tests.support.service.process import RunningService
from tests.support.service.small_artifacts import (
    Cell,
    language_model,
    save_classifier,
    save_language_model,
    word_tokenizer,
)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Language models named after cell and depth, as "lstm-2", and a classifier."""
    directory = tmp_path_factory.mktemp("models")
    tokenizer = word_tokenizer()
    for cell in get_args(Cell):
        for layers in (1, 2, 3):
            network = language_model(tokenizer, cell=cell, layers=layers, ends=False)
            save_language_model(directory, f"{cell}-{layers}", tokenizer, network)
    save_classifier(directory, "sentiment")
    return directory


@pytest.fixture(scope="session")
def service(models: Path) -> Iterator[RunningService]:
    """A running service of those artifacts with default settings."""
    with RunningService(models, "--default-language-model", "lstm-2") as running:
        yield running


@pytest.fixture(scope="session", params=["native", "torch"])
def float_service(models: Path, request: pytest.FixtureRequest) -> Iterator[RunningService]:
    """The same on either kernel in float32."""
    chosen = ("--kernel", request.param, "--precision", "float32")
    with RunningService(models, "--default-language-model", "lstm-2", *chosen) as running:
        yield running
