"""``python -m training export``: a language model as an ONNX file and its description."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from model.architecture import LanguageModelArchitecture
from model.errors import ArtifactError
from model.storage.stored_artifact import StoredArtifact, load_stored_artifact
from model.storage.weights import Weights, language_model_weights
from training.config.inspection import ExportRequest
from training.errors import OutputError
from training.files import write_atomically
from training.onnx_export.description import description_of
from training.reports.output import to_json
from training.runs.directory import reporting_write_errors
from training.runs.lock import exclusive_lock


def run(request: ExportRequest) -> int:
    """Writes both files; returns the exit status.

    Raises:
        ArtifactError: the artifact cannot be loaded, or is no language model.
        OutputError: a file exists or cannot be written, or the package onnx is not installed.
    """
    description = request.onnx.with_suffix(".json")
    _check_output(request, description)
    artifact = load_stored_artifact(request.artifact)
    weights = _weights(artifact)
    with exclusive_lock(request.onnx, option="--onnx"):
        _check_output(request, description)
        graph = _graph(artifact, weights)
        with reporting_write_errors(request.onnx, "free space or choose another --onnx"):
            write_atomically(
                description, to_json(description_of(artifact.manifest, artifact.tokenizer, weights))
            )
            write_atomically(request.onnx, graph)
    print(f"{request.onnx}: {len(graph) / 1e6:.1f} MB; {description}: tokens and first state")
    return 0


def _check_output(request: ExportRequest, description: Path) -> None:
    if find_spec("onnx") is None:
        raise OutputError(
            "--onnx: needs the optional package onnx; install it with `pip install onnx`"
        )
    if request.onnx.suffix != ".onnx":
        raise OutputError(f"{request.onnx}: expected a name that ends in .onnx")
    for path in (request.onnx, description):
        if path.is_dir():
            raise OutputError(f"{path}: is a directory; choose another --onnx")
        if path.exists() and not request.overwrite:
            raise OutputError(f"{path}: exists; choose another --onnx or give --overwrite")


def _weights(artifact: StoredArtifact) -> Weights[LanguageModelArchitecture]:
    weights = artifact.weights.take()
    if not isinstance(weights.architecture, LanguageModelArchitecture):
        raise ArtifactError(
            artifact.directory,
            f"is a {artifact.manifest.kind}; export writes language models only, since classifiers "
            "count n-grams, for which ONNX has no operator",
        )
    return language_model_weights(weights)


def _graph(artifact: StoredArtifact, weights: Weights[LanguageModelArchitecture]) -> bytes:
    from training.onnx_export.graph import language_model_graph  # noqa: PLC0415 - optional package

    try:
        model = language_model_graph(weights)
    except ValueError as error:
        raise ArtifactError(artifact.directory, str(error)) from None
    manifest = artifact.manifest
    for key, value in (("name", manifest.name), ("version", manifest.version)):
        model.metadata_props.add(key=key, value=value)
    content: bytes = model.SerializeToString()
    return content
