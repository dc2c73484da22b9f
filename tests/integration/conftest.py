"""One service for all tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service.process import RunningService
from tests.support.service.small_artifacts import save_all


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one artifact of each sort."""
    directory = tmp_path_factory.mktemp("models")
    save_all(directory)
    return directory


@pytest.fixture(scope="session")
def service(models: Path) -> Iterator[RunningService]:
    """A running service of those artifacts; `words` is the default language model."""
    with RunningService(models, "--default-language-model", "words") as running:
        yield running


@pytest.fixture(scope="session")
def narrow_service(models: Path) -> Iterator[RunningService]:
    """A service with one row, one place to wait, and little patience for slow clients; the slower
    kernel, so that a long request lasts.
    """
    with RunningService(
        models,
        *("--default-language-model", "words", "--max-rows", "1", "--max-waiting", "1"),
        *("--kernel", "torch", "--burst-steps", "1"),
        *(
            "--max-tokens",
            "1000000",
            "--stream-buffer-bytes",
            "65536",
            "--pause-seconds",
            "1",
            "--max-logprobs",
            "100000000",
            "--body-seconds",
            "2",
        ),
    ) as running:
        yield running


@pytest.fixture
def fresh_service(models: Path) -> Iterator[RunningService]:
    """A service that nobody has asked anything yet."""
    with RunningService(models) as running:
        yield running
