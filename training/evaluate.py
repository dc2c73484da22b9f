"""``python -m training evaluate``: measures an artifact on data, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.artifact import Artifact, load_artifact
from model.networks import LanguageModel
from training.checkpoint import write_atomically
from training.classifier_data import encode_examples
from training.classifier_evaluation import predict
from training.classifier_recipe import ClassifierRecipe
from training.language_model_data import expanded
from training.language_model_evaluation import evaluate_language_model
from training.processors import set_threads
from training.progress import Progress
from training.readers import Unit, read_documents, read_examples
from training.records import DataError

READ_AS_TRAINED = ("max_tokens", "truncation")  # options that decide what of a document is read


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """What is to be measured on what; ``lanes`` as in ``evaluate_language_model``."""

    artifact: Path
    data: tuple[str, ...]
    unit: Unit = "file"
    column: str | None = None
    label_column: str | None = None
    lanes: int | None = None
    threads: int | None = None
    json_file: Path | None = None


def run(request: EvaluationRequest) -> int:
    """Prints a table and writes the JSON file if one is asked for; the exit status.

    Raises:
        ArtifactError, DataError: the artifact or the data cannot be used.
        OSError: the JSON file cannot be written.
    """
    set_threads(request.threads)
    artifact = load_artifact(request.artifact)
    if isinstance(artifact.network, LanguageModel):
        figures = _language_model(artifact, artifact.network, request)
    else:
        figures = _classifier(artifact, request)
    print(_table(artifact, figures))
    if request.json_file is not None:
        record = {"artifact": artifact.manifest.name, "data": list(request.data), **figures}
        write_atomically(request.json_file, (json.dumps(record, indent=2) + "\n").encode())
    return 0


def _language_model(
    artifact: Artifact, network: LanguageModel, request: EvaluationRequest
) -> dict[str, float]:
    documents = read_documents(expanded(request.data), unit=request.unit, column=request.column)
    with Progress("evaluate") as bar:
        return evaluate_language_model(
            network,
            artifact.tokenizer,
            documents,
            lanes=request.lanes,
            on_progress=lambda share: bar.update(share, figures={}),
        )


def _classifier(artifact: Artifact, request: EvaluationRequest) -> dict[str, float]:
    labels, calibration = artifact.manifest.labels, artifact.manifest.calibration
    examples = [
        example
        for source in expanded(request.data)
        for example in read_examples(
            source, text_column=request.column, label_column=request.label_column
        )
    ]
    unknown = sorted({example.label for example in examples} - set(labels))
    if unknown:
        raise DataError(
            f"{', '.join(request.data)}: the label {unknown[0]!r} is none of the model's: "
            f"{', '.join(labels[:20])}; choose the column with --label-column"
        )
    recipe = ClassifierRecipe(**_reading_options(artifact.manifest.provenance))
    documents = encode_examples(examples, artifact.tokenizer, labels, recipe)
    found = predict(artifact.network, documents)  # type: ignore[arg-type]  # not a language model
    temperature = calibration.temperature if calibration else 1.0
    return {
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1(),
        "loss": found.loss,
        "calibration_error": found.calibration_error(temperature),
        "documents": len(examples),
    }


def _reading_options(provenance: Mapping[str, Any]) -> dict[str, Any]:
    recipe = provenance.get("recipe")
    values = recipe if isinstance(recipe, dict) else {}
    return {name: values[name] for name in READ_AS_TRAINED if name in values}


def _table(artifact: Artifact, figures: Mapping[str, float]) -> str:
    title = f"{artifact.manifest.name} ({artifact.manifest.kind})"
    rows = [(name.replace("_", " "), _told(name, value)) for name, value in figures.items()]
    names, values = (max(len(row[i]) for row in rows) for i in (0, 1))
    return "\n".join([title, *(f"  {name:<{names}}  {value:>{values}}" for name, value in rows)])


def _told(name: str, value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if name.endswith("_share"):
        return f"{value:.2%}"
    return f"{value:,.2f}" if "perplexity" in name else f"{value:.4f}"
