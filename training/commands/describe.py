"""``python -m training describe``: the parameters of a model in the letters of the formulas."""

from __future__ import annotations

from model.artifact import load_artifact
from training.config.inspection import DescribeRequest
from training.reports.html import ReportTable
from training.reports.output import reserved_output, write_json
from training.reports.parameters import (
    ParameterGroup,
    describe_parameters,
    window_parameters,
)

LENGTHS = (1, 10, 1_000)  # words of a text, for the comparison with a window


def run(request: DescribeRequest) -> int:
    """Prints the table and writes the JSON file; returns the exit status.

    Raises:
        ArtifactError: the artifact cannot be loaded.
        OutputError: ``json`` cannot be written.
    """
    with reserved_output(None, request.json):
        artifact = load_artifact(request.artifact)
        groups = describe_parameters(artifact.network)
        total = sum(group.count for group in groups)
        if request.json is not None:
            record = {"artifact": artifact.manifest.name, "parameters": total}
            write_json(request.json, {**record, "groups": [group.record() for group in groups]})
        print(f"{artifact.manifest.name}: {artifact.network.architecture.cell}")
        print("\n".join(_table(groups).lines()))
        print(f"{total:,} parameters, whatever the length of the text.")
        windows = ", ".join(
            f"{window_parameters(artifact.network, length):,} for {length:,}" for length in LENGTHS
        )
        print(
            "A layer of the same width over a window of n words, each with weights of its own, has "
            f"parameters that grow with n: {windows} words."
        )
    return 0


def _table(groups: list[ParameterGroup]) -> ReportTable:
    rows = [
        (
            group.letter,
            " x ".join(f"{size:,}" for size in group.shape),
            f"{group.count:,}",
            group.name,
            group.meaning,
        )
        for group in groups
    ]
    return ReportTable(("letter", "shape", "count", "name in torch", "meaning"), rows)
