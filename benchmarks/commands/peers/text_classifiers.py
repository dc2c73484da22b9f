"""`text-classifiers`: accuracy and speed of /classify beside a linear SVM and fastText."""

import argparse
import math
import os
import tempfile
from pathlib import Path

from benchmarks.harness.command import PRETRAINED_DIRECTORY, add_result_options
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import medians_of_repeats, results_of_repeats
from benchmarks.measurements.peers.text_classifiers import (
    KEY_FIELDS,
    TextClassifierMeasurement,
    TextClassifierPlan,
    measure_all,
)
from benchmarks.peers.labeled_texts import Texts, read_texts

NAME = "text-classifiers"
HELP = "/classify beside a linear SVM and fastText on the same split: accuracy and speed"
QUICK = {"texts": 300, "connections": [1, 16], "seconds": 1.0, "repeats": 1}
TRAIN_FILES = ("train.jsonl", "out_of_scope.train.jsonl")
TEST_FILE, OUT_OF_SCOPE_FILE = "test.jsonl", "out_of_scope.test.jsonl"
TABLE_COLUMNS = (
    "connections",
    "server",
    "accuracy",
    "found out of scope",
    "requests/s",
    "p50 / p99, ms",
    "CPU us",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `text-classifiers`."""
    parser.add_argument("--artifact", type=Path, default=PRETRAINED_DIRECTORY / "user-requests")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("UNROLL_DATA", "../shared/data")) / "clinc150",
        help="directory with the split of which the artifact was trained",
    )
    parser.add_argument("--texts", type=int, help="most test texts of each kind (default: all)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=4, help="time of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Trains the peers, measures in turns, writes the results and prints the table."""
    missing = [
        name
        for name in (*TRAIN_FILES, TEST_FILE, OUT_OF_SCOPE_FILE)
        if not (args.data / name).exists()
    ]
    if missing:
        raise SystemExit(f"--data: {args.data} has no {missing[0]}; set UNROLL_DATA")
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plan = TextClassifierPlan(
            artifact=args.artifact,
            train=read_texts([args.data / name for name in TRAIN_FILES]),
            test=_some(read_texts([args.data / TEST_FILE]), args.texts),
            out_of_scope=_some(read_texts([args.data / OUT_OF_SCOPE_FILE]), args.texts),
            connections=args.connections,
            seconds=args.seconds,
            repeats=args.repeats,
            scratch=Path(scratch),
            logs=args.out,
        )
        measurements, skipped = measure_all(plan)
    report = text_classifier_report(measurements, skipped, len(plan.test.texts))
    print("\n" + write_report(args.out, report))


def text_classifier_report(
    measurements: list[TextClassifierMeasurement], skipped: list[str], texts: int
) -> Report:
    """The report; ``texts``: number of test texts."""
    summary = medians_of_repeats(measurements, KEY_FIELDS)
    rows = [
        (
            str(median.connections),
            median.server,
            _share(median.accuracy),
            _share(median.out_of_scope),
            f"{median.requests_per_second:.0f}",
            f"{median.answer_p50:.2f} / {median.answer_p99:.2f}",
            f"{median.cpu_microseconds:.0f}",
        )
        for median in summary
    ]
    return Report(
        name=NAME,
        title="Text classifiers over HTTP",
        tables=[ResultTable("CLINC150, one text per request", TABLE_COLUMNS, rows, text_columns=2)],
        notes=[
            f"Medians of repeats. Accuracy: of {texts} test requests in scope, over HTTP.",
            "Found out of scope: the share of requests out of scope that are answered so.",
            "All were trained on the same requests, in scope and out of scope.",
            "Unroll returns the scores of all labels, the others the best label.",
            "CPU time is that of the server for one request.",
            *skipped,
        ],
        results=results_of_repeats(summary, measurements),
    )


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _some(texts: Texts, count: int | None) -> Texts:
    """Texts at equal distances, since the files are sorted by label."""
    if count is None:
        return texts
    step = max(1, len(texts.texts) // count)
    return Texts(texts.texts[::step], texts.labels[::step])
