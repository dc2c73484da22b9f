"""Names and directories: which artifact serves under a name."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.backend.model_updates import ModelUpdates, UpdateReport
from service.backend.registry import ModelRegistry, RegistryError
from service.backend.settings import Settings
from service.http.dependencies import ServiceContext
from tests.support.service.small_artifacts import (
    language_model,
    save_language_model,
    word_tokenizer,
)


def put(folder: Path, directory: str, *, name: str, seed: int = 0) -> None:
    """Save a model under another name than that of its directory."""
    tokenizer = word_tokenizer()
    save_language_model(folder, name, tokenizer, language_model(tokenizer, ends=False, seed=seed))
    if directory != name:
        (folder / name).rename(folder / directory)


class Service:
    """The models of an app that does not run."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        app = create_app(Settings(models=folder, threads=1, **settings))
        self._context: ServiceContext = app.state.context

    @property
    def updates(self) -> ModelUpdates:
        """The object under test."""
        return self._context.updates

    @property
    def registry(self) -> ModelRegistry:
        """The served models."""
        return self._context.registry

    def update(self, *, at_once: bool = True) -> UpdateReport:
        """One update."""
        return run(self.updates.update(at_once=at_once))


def run(work: Coroutine[Any, Any, UpdateReport]) -> UpdateReport:
    """The result of a coroutine."""
    return asyncio.run(work)


def test_a_version_in_another_directory_takes_over_when_the_old_one_goes(tmp_path: Path) -> None:
    """While both are there the served one stays; when it is removed, the other one takes over
    without a time in which there is none.
    """
    put(tmp_path, "words-1", name="words")
    service = Service(tmp_path)
    put(tmp_path, "words-2", name="words", seed=1)
    report = service.update()
    assert report.refused == {"words-2": "words-1 has the same name 'words'"}
    shutil.rmtree(tmp_path / "words-1")
    report = service.update()
    assert (report.loaded, report.removed, report.refused) == (["words"], [], {})
    assert service.registry.artifacts["words"].directory == tmp_path / "words-2"


def test_the_directory_of_the_name_wins(tmp_path: Path) -> None:
    """It takes over from another directory, which is refused."""
    put(tmp_path, "aaa", name="words")
    service = Service(tmp_path)
    put(tmp_path, "words", name="words", seed=1)
    report = service.update()
    assert report.loaded == ["words"]
    assert report.refused == {"aaa": "words has the same name 'words'"}
    assert service.registry.artifacts["words"].directory == tmp_path / "words"


def test_a_directory_may_change_its_name(tmp_path: Path) -> None:
    """An artifact of another name replaces the model of the directory."""
    put(tmp_path, "current", name="old")
    service = Service(tmp_path)
    shutil.rmtree(tmp_path / "current")
    put(tmp_path, "current", name="new")
    report = service.update()
    assert (report.loaded, report.removed) == (["new"], ["old"])
    assert list(service.registry.artifacts) == ["new"]


def test_changes_are_taken_over_at_the_second_look(tmp_path: Path) -> None:
    """Files that have just changed, and directories that have just gone, may be in the middle of a
    copy; at the next look they count.
    """
    put(tmp_path, "words", name="words")
    service = Service(tmp_path)
    put(tmp_path, "more", name="more")
    assert service.update(at_once=False).loaded == []
    assert service.update(at_once=False).loaded == ["more"]
    shutil.rmtree(tmp_path / "words")
    assert service.update(at_once=False).removed == []
    assert service.update(at_once=False).removed == ["words"]
    assert service.update(at_once=False) == UpdateReport(unchanged=["more"])


def test_the_same_files_again_change_nothing(tmp_path: Path) -> None:
    """A copy of the served artifact is checked and does not replace it."""
    put(tmp_path, "words", name="words")
    service = Service(tmp_path)
    served = service.registry.artifacts["words"]
    put(tmp_path, "words", name="words")
    assert service.update().unchanged == ["words"]
    assert service.registry.artifacts["words"] is served


def test_defaults_follow_the_models(tmp_path: Path) -> None:
    """The first model by name is the default; a configured default has no substitute, and one that
    is missing at the start is an error.
    """
    put(tmp_path, "words", name="words")
    service, other = Service(tmp_path), Service(tmp_path, default_language_model="words")
    put(tmp_path, "aaa", name="aaa")
    for one in (service, other):
        one.update()
    assert service.registry.defaults == {"language-model": "aaa"}
    shutil.rmtree(tmp_path / "words")
    other.update()
    assert other.registry.defaults == {}
    assert list(other.registry.artifacts) == ["aaa"]
    with pytest.raises(RegistryError, match="'words'"):
        Service(tmp_path, default_language_model="words")


def test_a_refused_artifact_is_tried_again_when_it_changes(tmp_path: Path) -> None:
    """Not at every look, since a check reads all its files; a request to reload tries it again."""
    put(tmp_path, "words", name="words")
    (tmp_path / "words" / "tokenizer.json").write_text("{}")
    service = Service(tmp_path)
    assert set(service.registry.refused) == {"words"}
    assert not service.registry.artifacts
    for _ in range(2):
        assert service.update(at_once=False).loaded == []
    put(tmp_path, "words", name="words")
    assert service.update().loaded == ["words"]
    assert service.registry.refused == {}
