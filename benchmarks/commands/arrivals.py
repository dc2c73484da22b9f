"""`arrivals`: the first-token latency of streams by the pattern in which requests arrive."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.harness.command import add_result_options
from benchmarks.harness.kernels import describe_served_kernel
from benchmarks.harness.presets import PRESETS, describe_size
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.servers import LANGUAGE_MODEL_SERVERS
from benchmarks.harness.statistics import medians_of_repeats, results_of_repeats
from benchmarks.harness.untrained_artifact import save_untrained_artifact
from benchmarks.measurements.arrivals import (
    KEY_FIELDS,
    ArrivalMeasurement,
    ArrivalPlan,
    measure_all,
)

NAME = "arrivals"
HELP = "first-token latency: clients that ask at once, and Poisson arrivals"
QUICK = {"size": "small", "seconds": 3.0, "repeats": 1}
TABLE_COLUMNS = (
    "arrivals",
    "server",
    "requests/s",
    "tokens/s",
    "first token ms, p50 / p99",
    "mean gap per token of a stream ms, p50 / p99",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `arrivals`."""
    names = [server.name for server in LANGUAGE_MODEL_SERVERS]
    parser.add_argument("--size", choices=PRESETS, default="medium")
    parser.add_argument("--clients", type=int, default=64, help="that ask at once")
    parser.add_argument("--max-tokens", type=int, default=96, help="tokens of each request")
    parser.add_argument("--prompt-words", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10, help="time of each measurement")
    parser.add_argument("--longest", type=float, default=60, help="further seconds to end requests")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--servers", nargs="+", choices=names, default=names[:1])
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures the patterns, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        artifact = Path(scratch) / args.size
        save_untrained_artifact(artifact, PRESETS[args.size])
        plan = ArrivalPlan(
            artifact=artifact,
            servers=[server for server in LANGUAGE_MODEL_SERVERS if server.name in args.servers],
            clients=args.clients,
            max_tokens=args.max_tokens,
            prompt_words=args.prompt_words,
            seconds=args.seconds,
            longest=args.longest,
            repeats=args.repeats,
            logs=args.out,
        )
        measurements = measure_all(plan)
    title = f"LSTM {describe_size(PRESETS[args.size])}, {args.max_tokens} tokens per request"
    print("\n" + write_report(args.out, arrival_report(measurements, title)))


def arrival_report(measurements: list[ArrivalMeasurement], title: str) -> Report:
    """The report; ``title``: of its table."""
    summary = medians_of_repeats(measurements, KEY_FIELDS)
    rows = [
        (
            median.pattern,
            median.server,
            f"{median.requests_per_second:.0f}",
            f"{median.tokens_per_second:.0f}",
            f"{median.first_token_p50:.1f} / {median.first_token_p99:.1f}",
            f"{median.stream_gap_p50:.2f} / {median.stream_gap_p99:.2f}",
        )
        for median in summary
    ]
    share = max(median.generator_processor_share for median in summary)
    return Report(
        name=NAME,
        title="The first token of a stream, by the arrivals of requests",
        tables=[ResultTable(title, TABLE_COLUMNS, rows, text_columns=2)],
        notes=[
            "Medians of repeats. Clients that ask at once open a connection for every request.",
            "A Poisson arrival is timed from its planned moment.",
            f"Unroll ran on {describe_served_kernel()}.",
            f"The load generator used at most {share:.0%} of one core.",
        ],
        results=results_of_repeats(summary, measurements),
    )
