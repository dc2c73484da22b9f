"""`perplexity`: what int8 costs, on held-out text of the pretrained models or of any other."""

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.commands.paths import PRETRAINED, add_results
from benchmarks.harness import report
from benchmarks.harness.kernels import NATIVE_INT8, TORCH, available
from benchmarks.harness.plots import Panel, bars
from benchmarks.harness.report import Report, Table
from benchmarks.harness.statistics import NONE
from benchmarks.measurements.perplexity import Perplexity, Piece, limited, perplexity, pieces_of
from model.artifact import Artifact, load_artifact
from model.networks import LanguageModel
from model.system.cpu_quota import granted_cpus

NAME = "perplexity"
QUICK = {"tokens": 4000}
ROWS = 16
DATA = "UNROLL_DATA"


@dataclass(frozen=True)
class Text:
    """What an artifact is measured on: files, of each of which the last share counts."""

    artifact: Path
    files: tuple[Path, ...]
    last_share: float = 1.0


@dataclass(frozen=True)
class Reading:
    """What one kernel made of one artifact's text."""

    artifact: str
    kernel: str
    found: Perplexity


# What the recipes of the pretrained models hold out.
HELD_OUT: dict[str, tuple[tuple[str, ...], float]] = {
    "english-word": (tuple(f"sotu/{year}_*.txt" for year in (1937, 1962, 1985, 2006, 2016)), 1.0),
    "shakespeare-char": (("tinyshakespeare/input.txt",), 0.1),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `perplexity`."""
    parser.add_argument("--artifact", type=Path, help="a language model; needs --data")
    parser.add_argument("--data", type=Path, nargs="+", help="text files it was not trained on")
    parser.add_argument("--last-share", type=float, default=1.0, help="of each file's characters")
    parser.add_argument("--tokens", type=int, default=None, help="about so many are counted (all)")
    add_results(parser)


def run(args: argparse.Namespace) -> None:
    """Reads every text with every kernel, writes the results and prints the table."""
    if (args.artifact is None) != (args.data is None):
        raise SystemExit("give --artifact and --data together")
    texts = [Text(args.artifact, tuple(args.data), args.last_share)] if args.data else held_out()
    readings = [reading for text in texts for reading in readings_of(text, args.tokens)]
    if readings:
        print("\n" + report.write(args.out, perplexity_report(readings)))


def held_out() -> list[Text]:
    """The pretrained models' texts, as far as they are there; a line for each that is not."""
    folder = os.environ.get(DATA, "")
    if not folder or not Path(folder).is_dir():
        print(f"Perplexity skipped: {DATA} names no folder with held-out text.", flush=True)
        return []
    found = []
    for name, (patterns, share) in HELD_OUT.items():
        files = tuple(file for one in patterns for file in sorted(Path(folder).glob(one)))
        if files:
            found.append(Text(PRETRAINED / name, files, share))
        else:
            print(f"{name} skipped: {DATA} has no {patterns[0]}.", flush=True)
    return found


def readings_of(text: Text, tokens: int | None) -> Iterator[Reading]:
    """One for each kernel."""
    artifact = load_artifact(text.artifact)
    network = artifact.network
    if not isinstance(network, LanguageModel):
        raise SystemExit(f"{text.artifact}: is no language model")
    pieces = limited(pieces_from(text, artifact), tokens)
    for kind in available():
        kernel = kind.make(
            network,
            capacity=min(ROWS, len(pieces)),
            threads=granted_cpus(),
            end=artifact.tokenizer.end,
            never_drawn=artifact.tokenizer.never_drawn,
        )
        reading = Reading(artifact.manifest.name, kind.name, perplexity(kernel, pieces))
        print(f"{reading.artifact}, {kind.name}: {reading.found.value:.4f}", flush=True)
        yield reading


def pieces_from(text: Text, artifact: Artifact) -> list[Piece]:
    """The text as the kernels read it."""
    whole = [file.read_text(encoding="utf-8") for file in text.files]
    parts = [last_part(document, text.last_share) for document in whole]
    tokens = [artifact.tokenizer.encode(part) for part in parts]
    return pieces_of(tokens, artifact.tokenizer.end)


def last_part(text: str, share: float) -> str:
    """The last share of the characters, from the beginning of a line if there is one."""
    if share >= 1:
        return text
    begin = len(text) - round(share * len(text))
    line = text.find("\n", begin)
    return text[begin if line < 0 else line + 1 :]


def perplexity_report(readings: Sequence[Reading]) -> Report:
    """A row for each artifact and kernel; the loss is against torch in float32."""
    exact = {one.artifact: one.found for one in readings if one.kernel == TORCH.name}
    rows = [
        (
            one.artifact,
            one.kernel,
            str(one.found.tokens),
            f"{one.found.value:.4f}",
            f"{lost(one.found, exact[one.artifact]):+.3f} %",
        )
        for one in readings
    ]
    headings = ("model", "kernel", "tokens", "perplexity per token", "against torch in float32")
    return Report(
        name=NAME,
        title="What int8 costs in perplexity",
        tables=[Table("Held-out text", headings, rows, texts=2)],
        notes=["Every kernel reads the same pieces of the same text."],
        found={
            "readings": [{**asdict(one), "perplexity": one.found.value} for one in readings],
        },
        figure=bars([[_panel(readings, exact)]]),
    )


def lost(found: Perplexity, exact: Perplexity) -> float:
    """Per cent of the exact perplexity."""
    return 100 * (found.value / exact.value - 1)


def _panel(readings: Sequence[Reading], exact: dict[str, Perplexity]) -> Panel:
    names = [one.kernel for one in readings if one.kernel != TORCH.name]
    values = {(one.artifact, one.kernel): lost(one.found, exact[one.artifact]) for one in readings}
    series = {
        kernel: [values.get((artifact, kernel), NONE) for artifact in exact]
        for kernel in dict.fromkeys(names or [NATIVE_INT8.name])
    }
    return Panel("Perplexity against torch in float32", "per cent more", list(exact), series)
