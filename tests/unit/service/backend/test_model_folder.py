"""The folder of models: which directories count, and which changes are noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.backend.model_folder import FolderError, ModelFolder

FILES = ("manifest.json", "tokenizer.json", "weights.safetensors")


def artifact(folder: Path, name: str) -> Path:
    """A directory with the files of an artifact; their content does not matter here."""
    directory = folder / name
    directory.mkdir(parents=True)
    for file in FILES:
        (directory / file).write_text(file)
    return directory


def test_hidden_directories_files_and_runs_are_no_artifacts(tmp_path: Path) -> None:
    """Drafts of `save_artifact`, checkpoints of training and plain files are left alone; other
    directories count even if they have no manifest.
    """
    for name in ("b", "a", ".a.draft", "a.run"):
        artifact(tmp_path, name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert list(ModelFolder(tmp_path).scan()) == ["a", "b", "empty"]


def test_a_folder_may_be_one_artifact(tmp_path: Path) -> None:
    """A folder with a manifest is itself the only artifact."""
    directory = artifact(tmp_path, "a")
    assert [path for path, _ in ModelFolder(directory).scan().values()] == [directory]


@pytest.mark.parametrize("file", FILES)
def test_every_change_of_a_file_changes_the_signature(tmp_path: Path, file: str) -> None:
    """Also one that keeps the size and the time of change of the content, as `cp -p` does, a
    removal, and an exchange by renaming.
    """
    directory, folder = artifact(tmp_path, "a"), ModelFolder(tmp_path)
    signatures = [folder.scan()["a"][1]]
    assert folder.scan()["a"][1] == signatures[0]
    path = directory / file
    path.write_text("longer than before")
    signatures.append(folder.scan()["a"][1])
    before = path.stat()
    other = tmp_path / ".other"
    other.write_text("Longer than before")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)
    signatures.append(folder.scan()["a"][1])
    path.unlink()
    signatures.append(folder.scan()["a"][1])
    assert len(set(signatures)) == 4


def test_errors_name_the_folder_and_the_remedy(tmp_path: Path) -> None:
    """A missing folder, or a file in its place."""
    for path in (tmp_path / "missing", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(FolderError, match=f"{path.name} does not exist; .*--models"):
            ModelFolder(path).scan()


def test_an_empty_folder_on_another_device_is_not_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is empty after its device has changed has lost its mount; one that is empty on
    the same device has no models.
    """
    directory = artifact(tmp_path, "a")
    folder = ModelFolder(tmp_path)
    assert folder.scan()
    directory.rename(tmp_path.parent / "moved")
    monkeypatch.setattr(folder, "_device", -1)
    with pytest.raises(FolderError, match="is it mounted"):
        folder.scan()
    monkeypatch.setattr(folder, "_device", tmp_path.stat().st_dev)
    assert folder.scan() == {}
