"""The provenance of a model: data with digests, recipe, seed, commit, library versions.

File names are recorded without their directories, since a manifest is published.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from training.readers.folders import files_in, is_folder
from training.readers.sources import HUGGING_FACE_PREFIX

RECORDED_PACKAGES = ("unroll", "torch", "tokenizers", "safetensors", "numpy")
PATH_OPTIONS = ("train", "valid", "test", "vectors", "from", "token_cache")
CARD_OPTIONS = ("description", "license")


def provenance(
    *, sources: Mapping[str, Sequence[str]], recipe: Mapping[str, Any], seed: int
) -> dict[str, object]:
    """The provenance for the manifest. ``sources`` has the files of each split.

    ``description`` and ``license`` of the recipe come first, as on the model card.
    """
    card = {name: recipe[name] for name in CARD_OPTIONS if recipe.get(name)}
    return card | {
        "data": {
            split: [source_record(source) for source in names] for split, names in sources.items()
        },
        "recipe": _published(recipe),
        "seed": seed,
        "commit": git_commit(),
        "libraries": library_versions(),
    }


def with_recipe(record: Mapping[str, object], recipe: Mapping[str, Any]) -> dict[str, object]:
    """The ``record`` of :func:`provenance` with another recipe for the same data."""
    return {**record, "recipe": _published(recipe)}


def digest_of_texts(texts: Iterable[str]) -> str:
    """SHA-256 of all texts and their boundaries."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode()
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


def source_record(source: str) -> dict[str, object]:
    """The name of a data source, and size and digest if it is a file or a folder."""
    path = Path(source)
    if is_folder(source):
        return _folder_record(path)
    if not path.is_file():
        return {"name": source_name(source)}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256}


def _folder_record(folder: Path) -> dict[str, object]:
    """The digest is that of the files' relative paths and digests, in their order."""
    files = files_in(folder)
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(
            f"{path.relative_to(folder).as_posix()}\0{content}\n".encode("utf-8", "replace")
        )
    size = sum(path.stat().st_size for path in files)
    return {
        "name": folder.resolve().name,
        "files": len(files),
        "bytes": size,
        "sha256": digest.hexdigest(),
    }


def library_versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that the result depends on."""
    versions = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def git_commit() -> str | None:
    """The commit of this code, with "+changes" if files differ from it; None outside git."""
    here = Path(__file__).resolve().parent
    try:
        head = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (subprocess.SubprocessError, OSError):
        return None
    return head + ("+changes" if changed else "")


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-C", str(directory), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return run.stdout.strip()


def _published(recipe: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in recipe.items() if name not in CARD_OPTIONS}
    return {name: _without_directories(name, value) for name, value in options.items()}


def _without_directories(name: str, value: Any) -> Any:
    if name not in PATH_OPTIONS:
        return value
    if isinstance(value, list | tuple):
        return [source_name(part) for part in value]
    return source_name(value)


def source_name(source: str) -> str:
    """A data source without its directory."""
    return source if source.startswith(HUGGING_FACE_PREFIX) else Path(source).name


def unique_names(names: Sequence[str]) -> list[str]:
    """The names; a later one that is equal to an earlier one gets a number.

    >>> unique_names(["a", "b", "a"])
    ['a', 'b', 'a-2']
    """
    unique = list[str]()
    for name in names:
        candidates = (name, *(f"{name}-{number}" for number in range(2, len(names) + 2)))
        unique.append(next(candidate for candidate in candidates if candidate not in unique))
    return unique
