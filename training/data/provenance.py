"""Where a model comes from: data with digests, recipe, seed, commit, library versions.

Names of files are kept, the directories they lie in are not: a manifest is published, and where
its maker keeps data is nobody's business.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from training.readers.sources import HUGGING_FACE

PACKAGES = ("unroll", "torch", "tokenizers", "safetensors", "numpy")
PATH_OPTIONS = ("train", "valid", "test", "vectors", "from", "token_cache")
CARD_OPTIONS = ("description", "license")


def provenance(
    *, sources: Mapping[str, Sequence[str]], recipe: Mapping[str, Any], seed: int
) -> dict[str, object]:
    """What the manifest records. ``sources`` maps "train", "valid" to the files of that split.

    ``description`` and ``license`` of the recipe stand first, for they open the model card.
    """
    card = {name: recipe[name] for name in CARD_OPTIONS if recipe.get(name)}
    return card | {
        "data": {
            split: [source_record(source) for source in names] for split, names in sources.items()
        },
        "recipe": _published(recipe),
        "seed": seed,
        "commit": commit(),
        "libraries": library_versions(),
    }


def with_recipe(record: Mapping[str, object], recipe: Mapping[str, Any]) -> dict[str, object]:
    """What :func:`provenance` gave, with another recipe of the same data."""
    return {**record, "recipe": _published(recipe)}


def digest_of_texts(texts: Iterable[str]) -> str:
    """SHA-256 over all texts and where each ends: two lists with one digest are the same data."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode()
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


def source_record(source: str) -> dict[str, object]:
    """A data source by name, with size and digest where it is a file."""
    path = Path(source)
    if not path.is_file():
        return {"name": source_name(source)}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256}


def library_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the result, where they are installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def commit() -> str | None:
    """The commit this code is at, with "+changes" when files differ from it; None outside git."""
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
    """A data source without the directory it lies in, which is nobody else's business."""
    return source if source.startswith(HUGGING_FACE) else Path(source).name
