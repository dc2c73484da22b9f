"""Artifacts: saving and loading, atomic replacement, and errors that name the damaged file."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.architecture import CELLS, ClassifierArchitecture, LanguageModelArchitecture
from model.artifact import Artifact, ArtifactError, Calibration, load_artifact, save_artifact
from model.networks import Classifier, LanguageModel
from model.tokenization.tokenizer_training import train_word_tokenizer

TOKENIZER = train_word_tokenizer(["the keys to the cabinet are old. "], vocabulary=None)
DATA_FILES = ("manifest.json", "tokenizer.json", "weights.safetensors")


ADAPTIVE = {"cutoffs": (3, 5), "division": 2}


def language_model(cell: str = "lstm", *, tied: bool = True, **more: Any) -> LanguageModel:
    """A small language model with the vocabulary of the tests."""
    return LanguageModel(
        LanguageModelArchitecture(
            cell=cell,  # type: ignore[arg-type]
            vocabulary=TOKENIZER.size,
            embedding=6,
            hidden=8,
            layers=2,
            projection=6,
            tied=tied,
            **more,
        )
    )


def classifier() -> Classifier:
    """A small classifier of two labels with the vocabulary of the tests."""
    return Classifier(
        ClassifierArchitecture(
            cell="gru", vocabulary=TOKENIZER.size, embedding=6, hidden=4, layers=1, mlp=5, labels=2
        )
    )


def one_number(tensor: torch.Tensor, value: float) -> torch.Tensor:
    """The tensor with another value in the middle."""
    changed = tensor.clone()
    changed[len(changed) // 2] = value
    return changed


def save(directory: Path, network: LanguageModel | Classifier, **more: Any) -> None:
    """Saves an artifact with the required arguments."""
    options: dict[str, Any] = {"name": "tiny", "provenance": {"data": "made up"}, "metrics": {}}
    save_artifact(directory, network=network, tokenizer=TOKENIZER, **(options | more))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact, which tests copy and change."""
    directory = tmp_path_factory.mktemp("saved") / "tiny"
    save(directory, language_model())
    return directory


def copy(saved: Path, target: Path) -> Path:
    """A copy of the saved artifact's files."""
    target.mkdir(exist_ok=True)
    for path in saved.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def change_manifest(directory: Path, **values: object) -> None:
    """Overwrites top-level fields of the manifest and updates all digests."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text()) | values
    del manifest["sha256"]
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    path.write_text(json.dumps(manifest | {"sha256": digest}))


def digests_of(directory: Path) -> dict[str, str]:
    """The digests of the artifact's files."""
    names = ("tokenizer.json", "weights.safetensors")
    return {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in names}


def names_of(tensors: dict[str, Tensor]) -> list[str]:
    """The sorted names of the tensors."""
    return sorted(tensors)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "softmax", [{}, ADAPTIVE, ADAPTIVE | {"division": 1}], ids=["full", "adaptive", "as wide"]
)
def test_a_language_model_round_trips(
    cell: str, tied: bool, softmax: dict[str, Any], tmp_path: Path
) -> None:
    """Weights, architecture, tying, tokenizer and manifest survive saving and loading."""
    network = language_model(cell, tied=tied, **softmax)
    save(tmp_path / "m", network, version="7", metrics={"perplexity": 3.5})
    loaded = load_artifact(tmp_path / "m")
    assert isinstance(loaded.network, LanguageModel)
    tokens_TB = torch.randint(TOKENIZER.size, (5, 2))
    expected = network.eval()(tokens_TB, network.initial_state(2))[0]
    assert torch.equal(loaded.network(tokens_TB, loaded.network.initial_state(2))[0], expected)
    assert (loaded.network.output.weight is loaded.network.embedding.weight) == tied
    assert loaded.network.architecture == network.architecture
    assert (loaded.manifest.name, loaded.manifest.version) == ("tiny", "7")
    assert loaded.manifest.metrics == {"perplexity": 3.5}
    assert loaded.tokenizer.encode("the keys") == TOKENIZER.encode("the keys")
    assert not loaded.network.training


def test_a_classifier_round_trips(tmp_path: Path) -> None:
    """Labels, calibration and logits survive saving and loading."""
    network = classifier().eval()
    calibration = Calibration(1.7)
    save(tmp_path / "c", network, labels=["yes", "no"], calibration=calibration)
    loaded = load_artifact(tmp_path / "c")
    assert loaded.manifest.labels == ("yes", "no")
    assert loaded.manifest.calibration == calibration
    tokens_TB, lengths_B = torch.randint(TOKENIZER.size, (4, 2)), torch.tensor([4, 2])
    assert isinstance(loaded.network, Classifier)
    assert torch.equal(loaded.network(tokens_TB, lengths_B), network(tokens_TB, lengths_B))


def test_float16_weights_are_nearly_the_same(tmp_path: Path) -> None:
    """float16 weights load as float32 with three digits; tied weights are stored once."""
    network = language_model()
    save(tmp_path / "whole", network)
    save(tmp_path / "half", network, half=True)
    sizes = [(tmp_path / n / "weights.safetensors").stat().st_size for n in ("whole", "half")]
    assert sizes[1] < 0.7 * sizes[0]  # the header stays as it is
    loaded = load_artifact(tmp_path / "half").network
    for name, parameter in loaded.named_parameters():
        assert parameter.dtype == torch.float32
        torch.testing.assert_close(
            parameter, dict(network.named_parameters())[name].detach(), rtol=1e-3, atol=1e-6
        )


def test_tied_weights_are_stored_once(saved: Path) -> None:
    """The file has no tensor for the output layer of a tied model, and torch's names."""
    names = names_of(safetensors.torch.load_file(saved / "weights.safetensors"))
    assert "embedding.weight" in names
    assert "output.weight" not in names
    assert {"recurrent.weight_ih_l0", "recurrent.weight_hh_l1"} <= set(names)


def test_the_card_contains_the_manifest(tmp_path: Path) -> None:
    """The model card has the name, metrics, data and description of the manifest."""
    provenance = {"description": "Knows about keys.", "data": {"file": "keys | doors"}}
    save(tmp_path / "m", language_model(), provenance=provenance, metrics={"perplexity": 42.42})
    card = (tmp_path / "m" / "README.md").read_text()
    for expected in ("# tiny", "Knows about keys.", "| perplexity | 42.42 |", "keys \\| doors"):
        assert expected in card


def test_the_card_shortens_long_lists_of_files(tmp_path: Path) -> None:
    """A few files are listed by name and size, many by their count, the first and the last."""
    files = [{"name": f"{number}.txt", "bytes": 1000 + number, "sha256": ""} for number in range(9)]
    save(
        tmp_path / "m", language_model(), provenance={"data": {"train": files, "valid": files[:2]}}
    )
    card = (tmp_path / "m" / "README.md").read_text()
    assert "| train | 9, from 0.txt (1,000 bytes) to 8.txt (1,008 bytes); all in" in card
    assert "| valid | 0.txt (1,000 bytes), 1.txt (1,001 bytes) |" in card


def test_other_users_may_read_an_artifact(tmp_path: Path) -> None:
    """An artifact saved by one user can be served by another."""
    save(tmp_path / "m", language_model())
    for path in (tmp_path / "m").iterdir():
        assert path.stat().st_mode & 0o777 == 0o644


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    name=st.sampled_from(DATA_FILES),
    where=st.floats(0, 1, exclude_max=True),
    damage=st.sampled_from(["flip", "cut", "grow", "zero"]),
    bit=st.integers(0, 7),
)
def test_damage_is_refused(
    saved: Path, tmp_path: Path, name: str, where: float, damage: str, bit: int
) -> None:
    """A flipped bit, a truncated file, added or zeroed bytes raise an error with the file's path.

    Only where a manifest still says the very same (its spacing changed) may it be loaded.
    """
    directory = copy(saved, tmp_path / "damaged")
    data = bytearray((directory / name).read_bytes())
    place = int(where * len(data))
    if damage == "flip":
        data[place] ^= 1 << bit
    elif damage == "cut":
        del data[place:]
    elif damage == "grow":
        data += b"\x00" * (1 + bit)
    else:
        data[place : place + 16] = b"\x00" * len(data[place : place + 16])
    (directory / name).write_bytes(data)
    try:
        loaded = load_artifact(directory)
    except ArtifactError as error:
        refused = error
    else:
        assert loaded.manifest == load_artifact(saved).manifest
        return
    assert refused.path.parent == directory
    assert str(refused.path) in str(refused)


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_missing_file_is_named(saved: Path, tmp_path: Path, name: str) -> None:
    """An artifact without one of its files is refused with the path of that file."""
    directory = copy(saved, tmp_path / "m")
    (directory / name).unlink()
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        load_artifact(directory)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format_version": 3}, "format_version: this version reads 1 to 2, got 3"),
        ({"format_version": 2}, "format_version: expected 1 for a model without thresholds"),
        ({"name": "../up"}, "name: expected letters"),
        ({"name": 3}, "name: expected text"),
        ({"kind": "painter"}, "kind: expected one of"),
        ({"labels": ["a"]}, "labels: expected 0, got 1"),
        ({"labels": "ab"}, "labels: expected a list"),
        ({"calibration": {"temperature": 0}}, "calibration.temperature: expected more than 0"),
        ({"metrics": {"perplexity": "low"}}, "metrics.perplexity: expected a number"),
        ({"files": {"weights.safetensors": "ab"}}, "expected 64 hexadecimal digits"),
        ({"files": {}}, "has no digest"),
        ({"architecture": {"cell": "lstm"}}, "architecture.vocabulary: missing"),
        ({"architecture": []}, "architecture: expected an object"),
    ],
)
def test_a_wrong_manifest_is_refused(
    saved: Path, tmp_path: Path, values: dict[str, object], message: str
) -> None:
    """Every field is checked; the message names the field and the expected value."""
    directory = copy(saved, tmp_path / "m")
    change_manifest(directory, **values)
    with pytest.raises(ArtifactError, match=message):
        load_artifact(directory)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hidden", 9, "has shape"),
        ("hidden", 2**24, "has shape"),
        ("hidden", True, "architecture.hidden: expected a whole number"),
        ("layers", 1, "does not belong to the architecture"),
        ("layers", 3, "is missing"),
        ("vocabulary", 99, "expected 99 as in the architecture"),
        ("tied", False, "output.weight is missing"),
        ("tied", 1, "architecture.tied: expected true or false"),
        ("cell", "transformer", "architecture.cell: expected one of"),
        ("projection", 5, "architecture.tied: the output layer has width 5"),
        ("heads", 8, "architecture.heads: not a field"),
        ("cutoffs", [3, 99], "architecture.cutoffs: expected rising numbers"),
        ("cutoffs", "3", "architecture.cutoffs: expected a list of whole numbers"),
        ("division", 4, "architecture.division: requires cutoffs"),
    ],
)
def test_weights_must_fit_the_architecture(
    saved: Path, tmp_path: Path, field: str, value: object, message: str
) -> None:
    """An architecture that does not fit the weights is refused before memory is allocated."""
    directory = copy(saved, tmp_path / "m")
    architecture = json.loads((directory / "manifest.json").read_text())["architecture"]
    change_manifest(directory, architecture=architecture | {field: value})
    with pytest.raises(ArtifactError, match=message):
        load_artifact(directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.double(), "expected float32"),
        (lambda tensor: tensor * float("nan"), "not finite"),
        (lambda tensor: one_number(tensor, float("nan")), "not finite"),
        (lambda tensor: one_number(tensor, float("-inf")), "not finite"),
    ],
)
def test_invalid_weights_are_refused(
    saved: Path, tmp_path: Path, change: Any, message: str
) -> None:
    """Weights of another type or with infinite values are refused, with valid digests."""
    directory = copy(saved, tmp_path / "m")
    tensors = safetensors.torch.load_file(directory / "weights.safetensors")
    tensors["output.bias"] = change(tensors["output.bias"])
    safetensors.torch.save_file(tensors, directory / "weights.safetensors")
    change_manifest(directory, files=digests_of(directory))
    with pytest.raises(ArtifactError, match=message):
        load_artifact(directory)


def test_an_edited_manifest_is_refused(saved: Path, tmp_path: Path) -> None:
    """A manifest with a changed number is refused by its digest."""
    directory = copy(saved, tmp_path / "m")
    text = (directory / "manifest.json").read_text()
    (directory / "manifest.json").write_text(text.replace("made up", "made down"))
    with pytest.raises(ArtifactError, match=r"manifest\.json: damaged"):
        load_artifact(directory)


def test_saving_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A second save replaces the first and leaves no temporary directory."""
    for version in ("1", "2"):
        save(tmp_path / "m", language_model(), version=version)
    assert load_artifact(tmp_path / "m").manifest.version == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_failed_save_keeps_the_old_artifact(tmp_path: Path) -> None:
    """If saving fails, the earlier artifact still loads and no temporary directory is left."""
    save(tmp_path / "m", language_model())
    with pytest.raises(ValueError, match="JSON compliant"):
        save(tmp_path / "m", language_model(), metrics={"perplexity": float("nan")})
    assert load_artifact(tmp_path / "m").manifest.version == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_directory_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    """Saving into a directory with other files is refused and changes nothing."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.tex").write_text("precious")
    with pytest.raises(ArtifactError, match=r"holds thesis\.tex"):
        save(tmp_path / "m", language_model())
    assert (tmp_path / "m" / "thesis.tex").read_text() == "precious"


def save_repeatedly(directory: Path) -> None:
    """Saves artifacts until the process is killed."""
    while True:
        save(directory, language_model())


def test_a_killed_save_leaves_a_valid_artifact(tmp_path: Path) -> None:
    """A process killed while it replaces an artifact leaves one that loads."""
    directory = tmp_path / "m"
    save(directory, language_model())
    for moment in range(4):
        process = multiprocessing.get_context("fork").Process(
            target=save_repeatedly, args=(directory,)
        )
        process.start()
        time.sleep(0.05 + 0.013 * moment)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        loaded: Artifact = load_artifact(directory)
        assert loaded.manifest.name == "tiny"
