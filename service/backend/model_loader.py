"""Loading of one artifact into a runner that could serve it, away from the event loop.

While the service runs, one thread loads one artifact at a time, which takes the memory of one
further model at most. The thread has the priority of the process: kernels start their threads in
it, and threads inherit a priority. Whoever holds the interpreter's lock at a lower one also stops
all streams for as long as others use the processors.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from model.errors import ArtifactError, panics_as_errors
from model.storage.stored_artifact import StoredArtifact, load_stored_artifact
from service.engine.scheduling.runner import Runner
from service.kernel.self_test import SelfTestError

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
Build = Callable[[str, StoredArtifact], Runner]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """An artifact, and a runner that has passed its self-test."""

    artifact: StoredArtifact
    runner: Runner


class RefusedError(Exception):
    """The artifact cannot be served. The message is for clients: it has no path of the machine."""


class LoaderThread:
    """Runs one job after the other."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="loader")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of a function that the thread calls."""
        return await asyncio.wrap_future(self._pool.submit(work, *args, **kwargs))

    def stop(self) -> None:
        """Start no more jobs. A running one does not keep the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def read_artifact(directory: Path) -> StoredArtifact:
    """Load and check an artifact. Logs a failure and raises RefusedError."""
    with _refusals(directory):
        # A link to the directory may be exchanged while its files are read.
        return load_stored_artifact(directory.resolve() if directory.is_symlink() else directory)


def set_up(directory: Path, artifact: StoredArtifact, build: Build) -> LoadedModel:
    """Make a runner for an artifact and test it. Logs a failure and raises RefusedError."""
    with _refusals(directory):
        runner = build(artifact.manifest.name, artifact)
        runner.self_test()
        return LoadedModel(artifact, runner)


def load_model(directory: Path, build: Build) -> LoadedModel:
    """Load, check and test an artifact. Logs a failure and raises RefusedError."""
    return set_up(directory, read_artifact(directory), build)


@contextmanager
def _refusals(directory: Path) -> Iterator[None]:
    """Log a failure and raise it as RefusedError."""
    try:
        with panics_as_errors():
            yield
    except ArtifactError as error:
        logger.error("refused a model: %s", error)
        raise RefusedError(f"{error.path.name}: {error.reason}") from error
    except SelfTestError as error:
        logger.error("refused a model: %s: %s", directory, error)
        raise RefusedError(str(error)) from error
    except MemoryError as error:
        logger.error("refused a model: %s: there is not enough memory for it", directory)
        raise RefusedError("there is not enough memory for it") from error
    except Exception as error:  # a defect in loading must not affect the other models
        logger.exception("refused a model: %s: it cannot be loaded", directory)
        raise RefusedError("it cannot be loaded; the log has the cause") from error


def return_memory() -> None:
    """Give memory back to the system: that of loading, and of models that are served no longer.

    glibc keeps freed blocks below its heap's end, about 20 MB after the pretrained models.
    """
    gc.collect()  # a runner and its table of requests refer to each other
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # glibc
            trim(0)
