"""Changes of the served models while the service runs.

A new version of a model is loaded and tested beside the old one and takes over between two
requests; requests that have begun end on the version they began with. An artifact that is refused
changes nothing. An artifact is loaded once its files have not changed between two looks at the
folder, so that one that is being copied is left alone; a request to reload does not wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from model.storage.stored_artifact import StoredArtifact
from service.backend.async_engine import AsyncEngine
from service.backend.early_loading import FirstModels
from service.backend.metrics import Metrics
from service.backend.model_folder import FolderError, ModelFolder, Signature
from service.backend.model_loader import (
    LoadedModel,
    LoaderThread,
    RefusedError,
    load_model,
    return_memory,
    set_up,
)
from service.backend.registry import (
    ModelRegistry,
    ServedModels,
    check_defaults,
    choose_defaults,
    info_labels,
)
from service.backend.settings import Settings
from service.engine.api.errors import StartError

logger = logging.getLogger(__name__)
_RETIREMENT_POLL_SECONDS = 0.25
_SAME_NAME = "refused a model: %s: %s has the same name %r"
Found = Mapping[str, tuple[Path, Signature]]


@dataclass(slots=True)
class UpdateReport:
    """What an update has done: names of models, and the reasons of all refusals by directory.

    ``error``: why the folder could not be read; nothing has changed then.
    """

    loaded: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(slots=True)
class _Known:
    """The last artifact in a directory: its signature, and the model or the reason of refusal."""

    signature: Signature
    model: str | None = None
    refusal: str | None = None


def _is_same(served: StoredArtifact, loaded: StoredArtifact) -> bool:
    """Whether they are equal; the manifest has the digests of the files."""
    return served.directory == loaded.directory and served.manifest == loaded.manifest


class ModelUpdates:
    """Keeps the served models equal to the folder. For use in the event loop's thread."""

    def __init__(
        self, settings: Settings, engine: AsyncEngine, metrics: Metrics, models: ServedModels
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._metrics = metrics
        self._models = models
        self._folder = ModelFolder(settings.models)
        self._thread = LoaderThread()
        self._known: dict[str, _Known] = {}
        self._last_found: Found = {}
        self._one_at_a_time = asyncio.Lock()
        self._folder_error: str | None = None
        self._cleaning: set[asyncio.Task[None]] = set()

    def load_first(self, first: FirstModels) -> None:
        """Serve the models that were read at the start. Raises RegistryError if a default model is
        missing, and StartError if the system provides no thread.
        """
        self._folder, self._last_found = first.folder, first.found
        report = UpdateReport()
        for directory, outcome in self._set_up_all(first):
            self._settle(directory, first.found[directory][1], outcome, (), report)
        self._publish()
        check_defaults(self._models.registry.artifacts, self._settings)
        if not report.loaded:
            logger.warning(
                "%s has no model that can be served; the service is ready once it has one",
                self._settings.models,
            )

    def _set_up_all(self, first: FirstModels) -> list[tuple[str, LoadedModel | str]]:
        """A runner for each artifact, made in threads: packing leaves the interpreter free."""

        def set_up_one(directory: str) -> LoadedModel | str:
            artifact = first.artifacts[directory]
            if isinstance(artifact, str):
                return artifact
            try:
                return set_up(first.found[directory][0], artifact, self._engine.build)
            except RefusedError as error:
                return str(error)

        names = list(first.found)
        with ThreadPoolExecutor(self._settings.thread_count, "packing") as pool:
            try:
                outcomes = pool.map(set_up_one, names)
            except RuntimeError as error:  # no more threads
                raise StartError(error) from error
            return list(zip(names, outcomes, strict=True))

    async def watch(self, seconds: float) -> None:
        """Look at the folder again and again, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.update()
            except Exception:
                logger.exception("the folder of models could not be compared")

    async def update(self, *, at_once: bool = False) -> UpdateReport:
        """Compare the folder with the served models, and load, replace and remove models.

        ``at_once``: also take changes that were not there at the last look, and try refused
        artifacts again.
        """
        async with self._one_at_a_time:
            return await self._update(at_once=at_once)

    def stop(self) -> None:
        """Load no more models."""
        self._thread.stop()

    async def _update(self, *, at_once: bool) -> UpdateReport:
        report = UpdateReport()
        try:
            found = await self._thread.run(self._folder.scan)
        except FolderError as error:
            report.error, report.refused = str(error), self._models.registry.refused
            if self._folder_error != report.error:
                logger.error("the served models stay as they are: %s", error)
            self._folder_error = report.error
            return report
        self._folder_error = None
        gone = [
            directory
            for directory in self._known
            if directory not in found and (at_once or directory not in self._last_found)
        ]
        if gone:  # one of them may have had the name of a refused one
            self._forget_refusals()
        before, self._last_found = self._last_found, found
        for directory, (path, signature) in found.items():
            settled = at_once or before.get(directory) == (path, signature)
            if settled and self._is_new(directory, signature, at_once=at_once):
                await self._load(directory, path, signature, gone, report)
        self._remove(gone, report)
        served = self._models.registry.artifacts
        report.unchanged = [name for name in served if name not in report.loaded]
        report.refused = self._models.registry.refused
        if report.loaded or report.removed:
            self._clean_up()
        return report

    def _is_new(self, directory: str, signature: Signature, *, at_once: bool) -> bool:
        known = self._known.get(directory)
        if known is None or known.signature != signature:
            return True
        return at_once and known.refusal is not None

    async def _load(
        self,
        directory: str,
        path: Path,
        signature: Signature,
        gone: Collection[str],
        report: UpdateReport,
    ) -> None:
        outcome: LoadedModel | str
        try:
            outcome = await self._thread.run(load_model, path, self._engine.build)
        except RefusedError as error:
            outcome = str(error)
        self._settle(directory, signature, outcome, gone, report)
        self._publish()

    def _settle(
        self,
        directory: str,
        signature: Signature,
        outcome: LoadedModel | str,
        gone: Collection[str],
        report: UpdateReport,
    ) -> None:
        """Serve a loaded model or note a refusal."""
        known = self._known.setdefault(directory, _Known(signature))
        known.signature = signature
        if isinstance(outcome, LoadedModel):
            known.refusal = self._conflict(directory, outcome, gone)
        else:
            known.refusal = outcome
        if known.refusal is not None or isinstance(outcome, str):
            self._metrics.model_load("refused")
            return
        name = outcome.artifact.manifest.name
        if known.model not in (None, name):  # the artifact was replaced by one of another name
            self._drop(known, report)
        known.model = name
        served = self._models.registry.artifacts.get(name)
        if served is not None and _is_same(served, outcome.artifact):
            return  # copied anew
        self._metrics.add_model(name, info_labels(outcome.artifact))
        self._metrics.model_load("loaded")
        self._engine.serve(outcome.runner)
        artifacts = {**self._models.registry.artifacts, name: outcome.artifact}
        self._models.replace(ModelRegistry(dict(sorted(artifacts.items()))))
        report.loaded.append(name)
        logger.info("serving model %s, version %s", name, outcome.artifact.manifest.version)

    def _conflict(self, directory: str, loaded: LoadedModel, gone: Collection[str]) -> str | None:
        """Why another directory has the name of the model; None if this one may have it. The
        directory of that name wins.
        """
        name, folder = loaded.artifact.manifest.name, self._settings.models
        for other, known in self._known.items():
            if other == directory or known.model != name or other in gone:
                continue
            if directory != name:
                logger.error(_SAME_NAME, folder / directory, folder / other, name)
                return f"{other} has the same name {name!r}"
            logger.error(_SAME_NAME, folder / other, folder / directory, name)
            known.model, known.refusal = None, f"{directory} has the same name {name!r}"
            self._metrics.model_load("refused")
        return None

    def _remove(self, gone: Collection[str], report: UpdateReport) -> None:
        for directory in gone:
            known = self._known.pop(directory)
            if not any(other.model == known.model for other in self._known.values()):
                self._drop(known, report)
        self._publish()

    def _drop(self, known: _Known, report: UpdateReport) -> None:
        """Serve a model no longer."""
        if known.model is None:
            return
        logger.info("model %s is served no longer", known.model)
        self._engine.remove(known.model)
        artifacts = dict(self._models.registry.artifacts)
        del artifacts[known.model]
        self._models.replace(ModelRegistry(artifacts))
        report.removed.append(known.model)

    def _forget_refusals(self) -> None:
        for directory, known in list(self._known.items()):
            if known.refusal is not None and known.model is None:
                del self._known[directory]

    def _publish(self) -> None:
        """Complete the registry with defaults and refusals."""
        artifacts = self._models.registry.artifacts
        refused = {
            directory: known.refusal
            for directory, known in sorted(self._known.items())
            if known.refusal is not None
        }
        defaults = choose_defaults(artifacts, self._settings)
        self._models.replace(ModelRegistry(artifacts, defaults, refused))
        self._metrics.models_refused(len(refused))

    def _clean_up(self) -> None:
        task = asyncio.create_task(self._free_retired())
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)

    async def _free_retired(self) -> None:
        """Once the last request of replaced and removed models has ended: free their memory and
        drop the series of removed ones.
        """
        while self._engine.retiring:  # noqa: ASYNC110 - the engine's thread sets no event
            await asyncio.sleep(_RETIREMENT_POLL_SECONDS)
        self._metrics.keep_models(self._models.registry.artifacts)
        await self._thread.run(return_memory)
