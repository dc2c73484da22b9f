"""Small artifacts of every cell, and their inspectors."""

from __future__ import annotations

import pytest

from model.architecture import Cell
from model.artifact import Artifact
from service.inspection.cancellation import Cancellation
from service.inspection.language_model import LanguageModelInspector
from tests.support.service.engine_client import language_model


@pytest.fixture(scope="module", params=["elman", "gru", "lstm"])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model with two layers of one of the cells."""
    cell: Cell = request.param
    return language_model(tmp_path_factory.mktemp("models"), cell=cell)


@pytest.fixture(scope="module")
def inspector(artifact: Artifact) -> LanguageModelInspector:
    """Of that model; takes texts of up to 100 tokens."""
    return LanguageModelInspector(artifact, 100)


@pytest.fixture
def cancellation() -> Cancellation:
    """One that nobody cancels."""
    return Cancellation()
