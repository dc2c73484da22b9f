"""Engines that keep states and engines that do not, of one model, on either kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from model.artifact import Artifact
from service.engine.runners.engine import EngineOptions
from tests.support.service.continuing import OPTIONS, Reads
from tests.support.service.engine_client import Desk, desk, language_model


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model."""
    return language_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(params=["native", "torch"])
def options(request: pytest.FixtureRequest) -> EngineOptions:
    """Either kernel: what is cached must be exact with both."""
    return dataclasses.replace(OPTIONS, kernel=request.param)


@pytest.fixture
def reads() -> Reads:
    """Counts what the engine below reads."""
    return Reads()


@pytest.fixture
def served(artifact: Artifact, options: EngineOptions, reads: Reads) -> Iterator[Desk]:
    """An engine that remembers."""
    with desk({"m": artifact}, options, reads) as opened:
        yield opened


@pytest.fixture
def forgetful(artifact: Artifact, options: EngineOptions) -> Iterator[Desk]:
    """The same without a cache."""
    with desk({"m": artifact}, dataclasses.replace(options, state_cache_bytes=0)) as opened:
        yield opened
