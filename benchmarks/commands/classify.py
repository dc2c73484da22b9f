"""`classify`: documents per second of POST /classify beside a FastAPI and torch loop."""

import argparse
from pathlib import Path

from benchmarks.harness.command import PRETRAINED_DIRECTORY, add_result_options
from benchmarks.harness.plots import Panel, bar_charts
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import group_by, medians_of_repeats, ratio, results_of_repeats
from benchmarks.measurements.classification import (
    KEY_FIELDS,
    MAX_WORDS,
    MIN_WORDS,
    ClassificationMeasurement,
    ClassificationPlan,
    measure_all,
    synthetic_documents,
)
from model.artifact import load_artifact

NAME = "classify"
HELP = "documents per second beside a FastAPI and torch loop"
QUICK = {"clients": [1, 16], "seconds": 2.0, "repeats": 1}
DOCUMENT_COUNT = 500
TABLE_COLUMNS = (
    "clients",
    "server",
    "documents/s",
    "ratio",
    "response ms, p50 / p99",
    "CPU s / 1000 documents",
    "memory MB",
)
PANELS = (("documents/s", "documents_per_second"), ("response, p99, ms", "answer_p99"))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `classify`."""
    parser.add_argument("--artifact", type=Path, default=PRETRAINED_DIRECTORY / "sentiment")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=10, help="time of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures the servers in turns, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    artifact = load_artifact(args.artifact)
    plan = ClassificationPlan(
        artifact=args.artifact,
        documents=synthetic_documents(artifact.tokenizer, DOCUMENT_COUNT),
        clients=args.clients,
        seconds=args.seconds,
        repeats=args.repeats,
        logs=args.out,
    )
    report = classify_report(measure_all(plan), args.artifact.name)
    print("\n" + write_report(args.out, report))


def classify_report(measurements: list[ClassificationMeasurement], model: str) -> Report:
    """The report, with a row for each number of clients and server."""
    summary = medians_of_repeats(measurements, KEY_FIELDS)
    summary.sort(key=lambda median: median.clients)
    first_server = measurements[0].server
    reference = {
        median.clients: median.documents_per_second
        for median in summary
        if median.server == first_server
    }
    rows = [
        (
            str(median.clients),
            median.server,
            f"{median.documents_per_second:.0f}",
            f"{ratio(reference[median.clients], median.documents_per_second):.1f}x",
            f"{median.answer_p50:.1f} / {median.answer_p99:.1f}",
            f"{median.processor_seconds_per_1000:.2f}",
            f"{median.memory_megabytes:.0f}",
        )
        for median in summary
    ]
    generator_share = max(median.generator_processor_share for median in summary)
    return Report(
        name=NAME,
        title="Document classification over HTTP",
        tables=[ResultTable(f"{model}, one text per request", TABLE_COLUMNS, rows, text_columns=2)],
        notes=[
            f"Medians of repeats. Texts of {MIN_WORDS} to {MAX_WORDS} words, one connection each.",
            f"The load generator used at most {generator_share:.0%} of one core.",
        ],
        results=results_of_repeats(summary, measurements),
        figure=bar_charts([_panels(summary, model)]),
    )


def _panels(summary: list[ClassificationMeasurement], model: str) -> list[Panel]:
    groups = [f"{count} clients" for count in dict.fromkeys(median.clients for median in summary)]
    by_server = group_by(summary, lambda median: median.server)
    return [
        Panel(
            f"{model}: {label}",
            label,
            groups,
            {
                server: [getattr(median, field) for median in medians]
                for server, medians in by_server.items()
            },
        )
        for label, field in PANELS
    ]
