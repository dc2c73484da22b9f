"""`perplexity`: perplexity of the int8 and float32 kernels on held-out text."""

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness.command import PRETRAINED_DIRECTORY, add_result_options
from benchmarks.harness.kernels import NATIVE_INT8, TORCH, available_kernels
from benchmarks.harness.plots import Panel, bar_charts
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import NAN
from benchmarks.measurements.perplexity import (
    Perplexity,
    ScoringWindow,
    measure_perplexity,
    split_into_windows,
    subsample,
)
from model.artifact import Artifact, load_artifact
from model.networks import LanguageModel
from model.system.cpu_quota import granted_cpus

NAME = "perplexity"
HELP = "perplexity of int8 and float32 weights on held-out text"
QUICK = {"tokens": 4000}
MAX_ROWS = 16
DATA_VARIABLE = "UNROLL_DATA"


@dataclass(frozen=True)
class HeldOutText:
    """An artifact and its held-out text: the last share of each file's characters."""

    artifact: Path
    files: tuple[Path, ...]
    last_share: float = 1.0


@dataclass(frozen=True)
class KernelPerplexity:
    """The perplexity of one artifact with one kernel."""

    artifact: str
    kernel: str
    perplexity: Perplexity


# Files (glob patterns) and their last share that the recipes of the pretrained models hold out.
HELD_OUT_FILES: dict[str, tuple[tuple[str, ...], float]] = {
    "english-word": (tuple(f"sotu/{year}_*.txt" for year in (1937, 1962, 1985, 2006, 2016)), 1.0),
    "shakespeare-char": (("tinyshakespeare/input.txt",), 0.1),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `perplexity`."""
    parser.add_argument("--artifact", type=Path, help="a language model; requires --data")
    parser.add_argument("--data", type=Path, nargs="+", help="held-out text files")
    parser.add_argument(
        "--last-share", type=float, default=1.0, help="share of each file that is read, at its end"
    )
    parser.add_argument(
        "--tokens", type=int, default=None, help="approximate number of scored tokens (None: all)"
    )
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures every artifact with every kernel, writes the results and prints the table."""
    if (args.artifact is None) != (args.data is None):
        raise SystemExit("--artifact and --data: give both or neither")
    if args.data:
        texts = [HeldOutText(args.artifact, tuple(args.data), args.last_share)]
    else:
        texts = held_out_texts()
    measurements = [item for text in texts for item in measure_kernels(text, args.tokens)]
    if measurements:
        print("\n" + write_report(args.out, perplexity_report(measurements)))


def held_out_texts() -> list[HeldOutText]:
    """The texts of the pretrained models; prints a line for each that is missing."""
    folder = os.environ.get(DATA_VARIABLE, "")
    if not folder or not Path(folder).is_dir():
        print(
            f"Perplexity skipped: {DATA_VARIABLE} names no folder with held-out text.", flush=True
        )
        return []
    texts = []
    for name, (patterns, share) in HELD_OUT_FILES.items():
        files = tuple(file for pattern in patterns for file in sorted(Path(folder).glob(pattern)))
        if files:
            texts.append(HeldOutText(PRETRAINED_DIRECTORY / name, files, share))
        else:
            print(f"{name} skipped: {DATA_VARIABLE} has no {patterns[0]}.", flush=True)
    return texts


def measure_kernels(text: HeldOutText, tokens: int | None) -> Iterator[KernelPerplexity]:
    """The perplexity of the text with each available kernel."""
    artifact = load_artifact(text.artifact)
    network = artifact.network
    if not isinstance(network, LanguageModel):
        raise SystemExit(f"{text.artifact}: expected a language model")
    windows = subsample(encode_windows(text, artifact), tokens)
    for variant in available_kernels():
        kernel = variant.make(
            network,
            capacity=min(MAX_ROWS, len(windows)),
            threads=granted_cpus(),
            end=artifact.tokenizer.end,
            suppressed=artifact.tokenizer.suppressed,
        )
        perplexity = measure_perplexity(kernel, windows)
        print(f"{artifact.manifest.name}, {variant.name}: {perplexity.value:.4f}", flush=True)
        yield KernelPerplexity(artifact.manifest.name, variant.name, perplexity)


def encode_windows(text: HeldOutText, artifact: Artifact) -> list[ScoringWindow]:
    """The windows of the text's last share."""
    documents = [file.read_text(encoding="utf-8") for file in text.files]
    parts = [last_part(document, text.last_share) for document in documents]
    tokens = [artifact.tokenizer.encode(part) for part in parts]
    return split_into_windows(tokens, artifact.tokenizer.end)


def last_part(text: str, share: float) -> str:
    """The last share of the characters, from the first line break on if there is one."""
    if share >= 1:
        return text
    begin = len(text) - round(share * len(text))
    line = text.find("\n", begin)
    return text[begin if line < 0 else line + 1 :]


def perplexity_report(measurements: Sequence[KernelPerplexity]) -> Report:
    """The report, with a row for each artifact and kernel; torch in float32 is the reference."""
    reference = {
        item.artifact: item.perplexity for item in measurements if item.kernel == TORCH.name
    }
    increases = {
        (item.artifact, item.kernel): percent_increase(item.perplexity, reference[item.artifact])
        for item in measurements
    }
    rows = [
        (
            item.artifact,
            item.kernel,
            str(item.perplexity.tokens),
            f"{item.perplexity.value:.4f}",
            f"{increases[item.artifact, item.kernel]:+.3f} %",
        )
        for item in measurements
    ]
    columns = ("model", "kernel", "tokens", "perplexity per token", "against torch in float32")
    kernels = dict.fromkeys(item.kernel for item in measurements if item.kernel != TORCH.name)
    series = {
        kernel: [increases.get((artifact, kernel), NAN) for artifact in reference]
        for kernel in kernels or [NATIVE_INT8.name]
    }
    title = "Perplexity against torch in float32"
    return Report(
        name=NAME,
        title="Perplexity of int8 weights",
        tables=[ResultTable("Held-out text", columns, rows, text_columns=2)],
        notes=["Every kernel reads the same windows of the same text."],
        results={
            "readings": [
                {
                    "artifact": item.artifact,
                    "kernel": item.kernel,
                    "found": asdict(item.perplexity),
                    "perplexity": item.perplexity.value,
                }
                for item in measurements
            ],
        },
        figure=bar_charts([[Panel(title, "per cent more", list(reference), series)]]),
    )


def percent_increase(perplexity: Perplexity, reference: Perplexity) -> float:
    """The increase of the perplexity over the reference in per cent."""
    return 100 * (perplexity.value / reference.value - 1)
