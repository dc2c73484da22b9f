"""`classify`: documents per second of POST /classify, beside a FastAPI and torch loop."""

import argparse
from dataclasses import asdict
from pathlib import Path

from benchmarks.commands.paths import PRETRAINED, add_results
from benchmarks.harness import report
from benchmarks.harness.plots import Panel, bars
from benchmarks.harness.report import Report, Table
from benchmarks.harness.statistics import grouped, ratio
from benchmarks.measurements.classification import (
    LONGEST,
    SHORTEST,
    Classified,
    ClassifyPlan,
    made_up_documents,
    measure_all,
    summarize,
)
from model.artifact import load_artifact

NAME = "classify"
QUICK = {"clients": [1, 16], "seconds": 2.0, "repeats": 1}
DOCUMENTS = 500
HEADINGS = (
    "clients",
    "server",
    "documents/s",
    "ratio",
    "answer ms, p50 / p99",
    "CPU s / 1000 documents",
    "memory MB",
)
FIGURES = (("documents/s", "documents_per_second"), ("answer, p99, ms", "answer_p99"))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `classify`."""
    parser.add_argument("--artifact", type=Path, default=PRETRAINED / "sentiment")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=10, help="counted time of one measurement")
    parser.add_argument("--repeats", type=int, default=3)
    add_results(parser)


def run(args: argparse.Namespace) -> None:
    """Measures both servers in turn, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    artifact = load_artifact(args.artifact)
    plan = ClassifyPlan(
        artifact=args.artifact,
        documents=made_up_documents(artifact.tokenizer, DOCUMENTS),
        clients=args.clients,
        seconds=args.seconds,
        repeats=args.repeats,
        logs=args.out,
    )
    print("\n" + report.write(args.out, classify_report(measure_all(plan), args.artifact.name)))


def classify_report(found: list[Classified], model: str) -> Report:
    """A row for each number of clients and server."""
    summary = sorted(summarize(found), key=lambda one: one.clients)
    ours = {one.clients: one for one in summary if one.server == found[0].server}
    rows = [
        (
            str(one.clients),
            one.server,
            f"{one.documents_per_second:.0f}",
            f"{ratio(ours[one.clients].documents_per_second, one.documents_per_second):.1f}x",
            f"{one.answer_p50:.1f} / {one.answer_p99:.1f}",
            f"{one.processor_seconds_per_1000:.2f}",
            f"{one.memory_megabytes:.0f}",
        )
        for one in summary
    ]
    share = max(one.generator_processor_share for one in summary)
    return Report(
        name=NAME,
        title="Documents classified over HTTP",
        tables=[Table(f"{model}, one text a request", HEADINGS, rows, texts=2)],
        notes=[
            f"Medians of repeats. Texts of {SHORTEST} to {LONGEST} words, a connection each.",
            f"The load generator took at most {share:.0%} of one core.",
        ],
        found={
            "summary": [asdict(one) for one in summary],
            "repeats": [asdict(one) for one in found],
        },
        figure=bars([_panels(summary, model)]),
    )


def _panels(summary: list[Classified], model: str) -> list[Panel]:
    groups = [f"{count} clients" for count in dict.fromkeys(one.clients for one in summary)]
    by_server = grouped(summary, lambda one: one.server)
    return [
        Panel(
            f"{model}: {axis}",
            axis,
            groups,
            {server: [getattr(one, name) for one in part] for server, part in by_server.items()},
        )
        for axis, name in FIGURES
    ]
