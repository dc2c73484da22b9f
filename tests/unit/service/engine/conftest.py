"""Engines of one model with and without a prefix cache, on either kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from model.artifact import Artifact
from service.engine.runners.engine import EngineOptions
from tests.support.service.continuing import OPTIONS, Reads
from tests.support.service.engine_client import EngineClient, language_model, serving


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model."""
    return language_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(params=["native", "torch"])
def options(request: pytest.FixtureRequest) -> EngineOptions:
    """Either kernel: cached results must be exact with both."""
    return dataclasses.replace(OPTIONS, kernel=request.param)


@pytest.fixture
def reads() -> Reads:
    """Counts what the engine below reads."""
    return Reads()


@pytest.fixture
def served(artifact: Artifact, options: EngineOptions, reads: Reads) -> Iterator[EngineClient]:
    """An engine with a prefix cache."""
    with serving({"m": artifact}, options, reads) as opened:
        yield opened


@pytest.fixture
def uncached(artifact: Artifact, options: EngineOptions) -> Iterator[EngineClient]:
    """The same without a prefix cache."""
    with serving({"m": artifact}, dataclasses.replace(options, state_cache_bytes=0)) as opened:
        yield opened
