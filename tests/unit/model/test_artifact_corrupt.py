"""Untrusted artifacts: every invalid file is refused with a message of one line."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from model.artifact import MAX_WEIGHT, ArtifactError, load_artifact
from model.errors import MAX_REASON_LENGTH
from model.networks import LanguageModel
from tests.support.repository import ROOT
from tests.unit.model.test_artifact import (
    DATA_FILES,
    change_manifest,
    classifier,
    copy,
    digests_of,
    language_model,
    save,
)

HUGE = 10**401
DEEP: list[Any] = []
for _ in range(200):
    DEEP = [DEEP]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model, which tests copy and change."""
    directory = tmp_path_factory.mktemp("saved") / "tiny"
    save(directory, language_model())
    return directory


@pytest.fixture(scope="module")
def saved_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier, which tests copy and change."""
    directory = tmp_path_factory.mktemp("saved") / "labels"
    save(directory, classifier(), labels=["yes", "no"])
    return directory


def change_weights(directory: Path, change: Callable[[bytes], bytes]) -> None:
    """Rewrites the weights file and updates all digests."""
    path = directory / "weights.safetensors"
    path.write_bytes(change(path.read_bytes()))
    change_manifest(directory, files=digests_of(directory))


def with_header(header: Any) -> Callable[[bytes], bytes]:
    """Replaces the header of the weights file."""

    def change(raw: bytes) -> bytes:
        (length,) = struct.unpack_from("<Q", raw)
        own = json.loads(raw[8 : 8 + length])
        text = json.dumps(header(own)).encode()
        return struct.pack("<Q", len(text)) + text + raw[8 + length :]

    return change


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metrics": {"perplexity": HUGE}}, "metrics.perplexity: the number is too large"),
        ({"metrics": {"perplexity": -HUGE}}, "metrics.perplexity: the number is too large"),
        ({"metrics": {"x" * 101: 1}}, "at most 100 characters"),
        ({"metrics": {"a\nb": 1}}, "control characters"),
        ({"metrics": {"half \ud800": 1}}, "half of a surrogate pair"),
        ({"metrics": dict.fromkeys(map(str, range(1001)), 1)}, "metrics: expected at most 1000"),
        ({"provenance": {"data": DEEP}}, "levels"),
        ({"provenance": {"data": {"bytes": HUGE}}}, "provenance.data.bytes: the number is too"),
        ({"provenance": {"note": "\udfff"}}, "provenance.note: has half"),
        ({"more": DEEP}, "levels"),
        ({"format_version": True}, "format_version"),
        ({"format_version": 1.0}, "format_version"),
        ({"format_version": HUGE}, "too large"),
        ({"name": "x" * 10**6}, "name: expected letters"),
        ({"name": "a\nb"}, "name: expected letters"),
        ({"kind": ["x"] * 10**5}, "kind: expected text"),
        ({"files": {"a\nINFO b": "c"}}, r"files\.a\\nINFO b: expected 64"),
    ],
)
def test_a_manifest_beyond_its_bounds_is_refused(
    saved: Path, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    """Numbers, names, nesting and counts are bounded; the message is one short line."""
    directory = copy(saved, tmp_path / "m")
    change_manifest(directory, **values)
    with pytest.raises(ArtifactError, match=message) as refused:
        load_artifact(directory)
    assert refused.value.path == directory / "manifest.json"
    assert len(refused.value.reason) <= MAX_REASON_LENGTH + 100
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": ["yes", "n\no"]}, "control characters"),
        ({"labels": ["yes", "n\u202eo"]}, "control characters"),
        ({"labels": ["yes", "x" * 1001]}, "at most 1000 characters"),
        ({"labels": ["yes", "\ud800"]}, "half of a surrogate"),
        ({"calibration": {"temperature": HUGE}}, "calibration.temperature: the number is too"),
        ({"calibration": {"temperature": 1e-300}}, "calibration.temperature: expected 1e-06"),
        ({"calibration": {"temperature": 1e300}}, "calibration.temperature: expected 1e-06"),
        ({"calibration": {"temperature": "1"}}, "calibration.temperature: expected a number"),
        ({"calibration": [1]}, "calibration: expected an object"),
        (
            {"calibration": {"temperature": 1, "out_of_scope": {"label": "yes"}}},
            "out_of_scope.weight: expected a number",
        ),
        (
            {
                "calibration": {
                    "temperature": 1,
                    "out_of_scope": {"label": "none", "weight": 1e13, "bias": 0},
                }
            },
            "expected weight and bias of at most",
        ),
        (
            {
                "calibration": {
                    "temperature": 1,
                    "out_of_scope": {"label": "no\r", "weight": 1, "bias": 0},
                }
            },
            "control characters",
        ),
    ],
)
def test_labels_and_calibration_are_bounded(
    saved_classifier: Path, tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    """Labels have no control characters and a bounded length; coefficients are bounded."""
    directory = copy(saved_classifier, tmp_path / "m")
    change_manifest(directory, **values)
    with pytest.raises(ArtifactError, match=message):
        load_artifact(directory)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layers", 2**24),
        ("layers", 65),
        ("layers", HUGE),
        ("layers", 1.0),
        ("layers", -1),
        ("vocabulary", 2**24),
        ("hidden", 2**24),
        ("hidden", 2**25),
        ("embedding", 2**24),
        ("projection", 2**24),
        ("cutoffs", [1, 2, 3] * 10**5),
        ("cutoffs", [HUGE]),
        ("cutoffs", [[1]]),
        ("division", 2**24),
        ("cell", ["lstm"]),
        ("more\nINFO x", 1),
    ],
)
def test_sizes_are_bounded_before_a_network_is_built(
    saved: Path, tmp_path: Path, field: str, value: object
) -> None:
    """A size out of range is refused before memory is allocated."""
    directory = copy(saved, tmp_path / "m")
    architecture = json.loads((directory / "manifest.json").read_text())["architecture"]
    change_manifest(directory, architecture=architecture | {field: value})
    with pytest.raises(ArtifactError) as refused:
        load_artifact(directory)
    assert str(refused.value).isprintable()


def test_the_largest_architecture_is_refused_fast(saved: Path, tmp_path: Path) -> None:
    """The largest architecture is built without memory and refused within seconds."""
    directory = copy(saved, tmp_path / "m")
    architecture = json.loads((directory / "manifest.json").read_text())["architecture"]
    largest = {"layers": 64, "hidden": 2**24, "embedding": 2**24, "projection": 2**24}
    change_manifest(directory, architecture=architecture | largest)
    with pytest.raises(ArtifactError, match="is missing"):
        load_artifact(directory)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda raw: raw[:7],
        lambda raw: struct.pack("<Q", 2**63) + raw[8:],
        lambda raw: struct.pack("<Q", len(raw)) + raw[8:],
        lambda raw: struct.pack("<Q", 0) + raw[8:],
        lambda raw: raw + b"\0" * 4,
        lambda raw: raw + b"\0" * 2**20,
        lambda raw: raw[:-4],
        with_header(lambda _: []),
        with_header(lambda _: DEEP),
        with_header(lambda own: own | {"more": own["output.bias"]}),
        with_header(lambda own: own | {"output.bias": None}),
        with_header(lambda own: own | {"output.bias": own["output.bias"] | {"dtype": "X64"}}),
        with_header(lambda own: own | {"output.bias": own["output.bias"] | {"dtype": "I32"}}),
        with_header(lambda own: own | {"output.bias": own["output.bias"] | {"shape": [2**62, 4]}}),
        with_header(lambda own: own | {"output.bias": own["output.bias"] | {"shape": [-11]}}),
        with_header(lambda own: own | {"output.bias": own["output.bias"] | {"shape": []}}),
        with_header(
            lambda own: own | {"output.bias": own["output.bias"] | {"data_offsets": [0, 2**62]}}
        ),
        with_header(
            lambda own: own | {"output.bias": own["output.bias"] | {"data_offsets": [44, 0]}}
        ),
        with_header(lambda own: dict.fromkeys(own, own["output.bias"])),
    ],
)
def test_an_invalid_weights_file_is_refused(
    saved: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    """A header with another size, type, shape or offset is refused, with valid digests."""
    directory = copy(saved, tmp_path / "m")
    change_weights(directory, change)
    with pytest.raises(ArtifactError, match=r"weights\.safetensors: "):
        load_artifact(directory)


@pytest.mark.parametrize("number", [MAX_WEIGHT * 1.01, -3.4e38, 3.4e38])
def test_too_large_weights_are_refused(saved: Path, tmp_path: Path, number: float) -> None:
    """Weights whose sums of products would overflow float32 are refused."""
    directory = copy(saved, tmp_path / "m")
    path = directory / "weights.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["output.bias"][3] = number
    safetensors.torch.save_file(tensors, path)
    change_manifest(directory, files=digests_of(directory))
    with pytest.raises(ArtifactError, match=r"tensor output\.bias has values beyond 65504"):
        load_artifact(directory)


@pytest.mark.parametrize("name", DATA_FILES)
@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "symlink", "dangling", "loop"])
def test_irregular_files_are_refused(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    """FIFOs, sockets, directories and symbolic links are refused without blocking."""
    directory = copy(saved, tmp_path / "m")
    path = directory / name
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        monkeypatch.chdir(directory)  # the name of a socket must be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)
    else:
        target = {"symlink": saved / name, "dangling": tmp_path / "nothing", "loop": path}[kind]
        path.symlink_to(target)
    with pytest.raises(ArtifactError, match=r": (expected a regular|missing)"):
        load_artifact(directory)


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_too_large_file_is_not_read(saved: Path, tmp_path: Path, name: str) -> None:
    """A file of a terabyte (sparse) is refused by its size."""
    directory = copy(saved, tmp_path / "m")
    with (directory / name).open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(ArtifactError, match="bytes, expected at most"):
        load_artifact(directory)


@pytest.fixture
def not_root() -> Iterator[None]:
    """Changes the effective user, since root may read every file."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("name", DATA_FILES)
def test_an_unreadable_file_is_named(
    saved: Path, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    """The message names the file and its permissions."""
    directory = copy(saved, tmp_path / "m")
    (directory / name).chmod(0)
    request.getfixturevalue("not_root")
    with pytest.raises(ArtifactError, match="check its permissions"):
        load_artifact(directory)


def test_weights_truncated_after_loading_have_no_effect(saved: Path, tmp_path: Path) -> None:
    """A loaded model does not read the file again."""
    directory = copy(saved, tmp_path / "m")
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from model.artifact import load_artifact\n"
        "directory = Path(sys.argv[1]); network = load_artifact(directory).network\n"
        "(directory / 'weights.safetensors').write_bytes(b'')\n"
        "print(sum(float(parameter.sum()) for parameter in network.parameters()))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    expected = sum(
        float(parameter.sum()) for parameter in load_artifact(saved).network.parameters()
    )
    assert float(ended.stdout) == pytest.approx(expected)


def test_the_card_is_not_read(saved: Path, tmp_path: Path) -> None:
    """Loading does not open README.md: a FIFO in its place does not block."""
    directory = copy(saved, tmp_path / "m")
    (directory / "README.md").unlink()
    os.mkfifo(directory / "README.md")
    assert load_artifact(directory).manifest.name == "tiny"


def test_the_largest_weights_still_give_numbers(tmp_path: Path) -> None:
    """With every weight at the bound the logits are finite."""
    network = language_model("gru")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(MAX_WEIGHT)
    save(tmp_path / "m", network)
    loaded = load_artifact(tmp_path / "m").network
    assert isinstance(loaded, LanguageModel)
    logits_TBV, _ = loaded(torch.ones(3, 1, dtype=torch.long), loaded.initial_state(1))
    assert bool(logits_TBV.isfinite().all())
