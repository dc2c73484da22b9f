"""Artifacts from strangers beside valid ones: each is refused alone, without harm to the others."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
import tokenizers
from starlette.types import Receive, Scope, Send

from model.artifact import ArtifactError, load_artifact
from model.storage.stored_artifact import StoredArtifact
from model.storage.weights import StoredArray
from service.app import create_app
from service.backend.metrics import Metrics
from service.backend.model_loader import RefusedError, load_model
from service.backend.settings import Settings
from service.engine.api.observer import Observer
from service.engine.api.options import EngineOptions
from service.engine.runners.language_model import LanguageModelRunner
from service.engine.scheduling.runner import Runner
from service.http.access_log import AccessLogMiddleware, InternalErrorMiddleware, RouteLabels
from tests.support.service.process import RunningService, error_of
from tests.unit.model.test_artifact import change_manifest, digests_of

HUGE = 10**401
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d .*|    .*|")


def change_architecture(directory: Path, **fields: Any) -> None:
    """Overwrites fields of the architecture."""
    own = json.loads((directory / "manifest.json").read_text())["architecture"]
    change_manifest(directory, architecture=own | fields)


def change_tokenizer(directory: Path, **fields: Any) -> None:
    """Overwrite fields of the tokenizer's file and update all digests."""
    path = directory / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    change_manifest(directory, files=digests_of(directory))


def put_a_fifo(directory: Path) -> None:
    """Replace the weights by a pipe that never ends."""
    (directory / "weights.safetensors").unlink()
    os.mkfifo(directory / "weights.safetensors")


HOSTILE: dict[str, Callable[[Path], None]] = {
    "many-digits": lambda path: change_manifest(path, metrics={"perplexity": HUGE}),
    "no-character": lambda path: change_manifest(path, metrics={"\ud800": 1}),
    "deep": lambda path: change_architecture(path, layers=2**24),
    "forger": lambda path: change_architecture(path, **{"x\n2026-01-01 00:00:00 INFO y": 1}),
    "evil-expression": lambda path: change_tokenizer(
        path,
        pre_tokenizer={
            "type": "Split",
            "pattern": {"Regex": "(a|a)*b"},
            "behavior": "Isolated",
            "invert": False,
        },
    ),
    "padding": lambda path: change_tokenizer(path, padding={"strategy": {"Fixed": 2**40}}),
    "fifo": put_a_fifo,
}


def test_bad_artifacts_are_refused_one_by_one(models: Path, tmp_path: Path) -> None:
    """The valid model is served and listed. Each bad one has a line in the log, and cannot start
    a log line of its own.
    """
    shutil.copytree(models / "chars", tmp_path / "good")
    for name, harm in HOSTILE.items():
        shutil.copytree(models / "chars", tmp_path / name)
        harm(tmp_path / name)
    forged = tmp_path / "line\n2026-01-01 00:00:00,000 INFO forged"
    shutil.copytree(models / "chars", forged)
    (forged / "weights.safetensors").write_bytes(b"")
    with RunningService(tmp_path) as service:
        listed = service.client.get("/models").json()["models"]
        assert [model["name"] for model in listed] == ["chars"]
        assert service.text(max_tokens=3)
        log = service.output.partition("Unroll serves at")[0]
    for name in HOSTILE:
        assert re.search(rf"refused a model: \S*/{name}/", log), name
    assert all(LOG_LINE.fullmatch(line) for line in log.splitlines())
    assert not re.search(r"^2026-01-01", log, re.MULTILINE)


def test_a_model_that_cannot_be_set_up_is_refused(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A kernel that cannot be made for a model is logged; the client learns no details."""

    def build(name: str, artifact: StoredArtifact) -> Runner:
        arrays = cast("dict[str, StoredArray]", artifact.weights.check().arrays)
        arrays.update({key: array * np.float32(np.inf) for key, array in arrays.items()})
        options = EngineOptions(threads=1, kernel="native")
        return LanguageModelRunner(name, artifact, options, Observer())

    with pytest.raises(RefusedError, match="the log has the cause"):
        load_model(models / "words", build)
    assert f"refused a model: {models / 'words'}" in caplog.text


def test_a_panic_in_a_request_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """A panic of a Rust library is not an Exception; the client gets a 500 all the same."""
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex(r"(a+)+$b"), "isolated"
    )

    async def panicking(_scope: Scope, _receive: Receive, _send: Send) -> None:
        backend.encode("a" * 40)

    journal = AccessLogMiddleware(
        InternalErrorMiddleware(panicking),
        metrics=Metrics({}, ["/"]),
        routes=RouteLabels(["/"]),
        access_log=True,
    )
    transport = httpx.ASGITransport(journal)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/")

    with caplog.at_level("INFO"):
        response = asyncio.run(ask())
    assert response.status_code == 500
    assert error_of(response)["type"] == "internal_error"
    assert "/ 500 " in caplog.text


def test_a_name_belongs_to_the_directory_of_that_name(models: Path, tmp_path: Path) -> None:
    """An artifact that calls itself as another does not take its place, whatever the order."""
    for directory in ("aaa", "chars", "zzz"):
        shutil.copytree(models / "chars", tmp_path / directory)
    registry = create_app(Settings(models=tmp_path)).state.context.registry
    assert [one.directory for one in registry.artifacts.values()] == [tmp_path / "chars"]
    assert set(registry.refused) == {"aaa", "zzz"}


@pytest.mark.parametrize("name", ["manifest.json", "tokenizer.json", "weights.safetensors"])
def test_a_file_of_another_artifact_is_refused(models: Path, tmp_path: Path, name: str) -> None:
    """A valid file that belongs to another model is refused by its digest."""
    shutil.copytree(models / "words", tmp_path / "words")
    shutil.copyfile(models / "chars" / name, tmp_path / "words" / name)
    with pytest.raises(ArtifactError):
        load_artifact(tmp_path / "words")
