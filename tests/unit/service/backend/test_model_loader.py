"""The threads that load models beside running requests."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import pytest

from model.storage.stored_artifact import StoredArtifact
from service.backend.model_loader import PRIORITY, LoaderThreads, RefusedError
from service.engine.scheduling.runner import Runner
from tests.support.service.small_artifacts import (
    language_model,
    save_language_model,
    word_tokenizer,
)


def niceness() -> int:
    """The niceness of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_only_packing_has_a_low_priority(tmp_path: Path) -> None:
    """Work that holds the interpreter's lock for long runs at the priority of the process, since
    whoever waits for a processor with the lock stops all others. Packing gives way.
    """
    tokenizer = word_tokenizer()
    save_language_model(tmp_path, "words", tokenizer, language_model(tokenizer, ends=True))
    packing: list[int] = []

    def build(name: str, artifact: StoredArtifact) -> Runner:
        assert artifact.manifest.name == name
        packing.append(niceness())
        raise MemoryError

    async def run() -> int:
        threads = LoaderThreads()
        try:
            with pytest.raises(RefusedError, match="not enough memory"):
                await threads.load(tmp_path / "words", build)
            return await threads.run(niceness)
        finally:
            threads.stop()

    own = niceness()
    assert asyncio.run(run()) == own
    assert packing == [min(own + PRIORITY, 19)]
