"""`python -m training lm` beside a plain script with the same data, tokens, size and minutes.

Unroll runs first and trains the tokenizer. The runs follow each other, so that each has the whole
machine, and `python -m training evaluate` measures all of them on the same tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.report import ResultTable, markdown_table
from benchmarks.harness.subprocesses import run_module, run_training_measurement
from model.manifest import TOKENIZER_FILE

METRIC = "perplexity"


@dataclass(frozen=True)
class LanguageModelPlan:
    """Corpus, size and time of every run, and further ``options`` of Unroll's run."""

    train: Sequence[Path]
    valid: Sequence[Path]
    test: Sequence[Path]
    minutes: float
    hidden: int
    layers: int
    vocabulary: int | None
    options: Sequence[str]
    out: Path


def compare_language_models(plan: LanguageModelPlan) -> dict[str, dict[str, float]]:
    """Trains all; returns the perplexities as {run: {split: perplexity}}."""
    unroll = plan.out / "unroll"
    train_unroll(plan, unroll)
    runs = {"Unroll": unroll}
    for optimizer in ("sgd", "adam"):
        runs[f"plain script, {optimizer}"] = plan.out / f"plain-{optimizer}"
        train_plain(plan, optimizer, unroll / TOKENIZER_FILE, plan.out / f"plain-{optimizer}")
    splits = {"valid": plan.valid, "test": plan.test}
    return {
        name: {split: perplexity(artifact, files) for split, files in splits.items() if files}
        for name, artifact in runs.items()
    }


def train_unroll(plan: LanguageModelPlan, out: Path) -> None:
    """Runs `python -m training lm`."""
    run_module(
        *("training", "lm", "--tokenizer", "word", "--cell", "lstm", "--overwrite"),
        *("--train", *map(str, plan.train), "--valid", *map(str, plan.valid)),
        *("--hidden", str(plan.hidden), "--embedding", str(plan.hidden)),
        *("--layers", str(plan.layers), "--tied", "--minutes", str(plan.minutes)),
        *(("--vocabulary", str(plan.vocabulary)) if plan.vocabulary else ()),
        *("--out", str(out), *plan.options),
    )


def train_plain(plan: LanguageModelPlan, optimizer: str, tokenizer: Path, out: Path) -> None:
    """Runs the plain script with the given tokenizer."""
    run_module(
        *("benchmarks.peers.word_language_model", "--tokenizer", str(tokenizer)),
        *("--train", *map(str, plan.train), "--valid", *map(str, plan.valid)),
        *("--hidden", str(plan.hidden), "--layers", str(plan.layers)),
        *("--minutes", str(plan.minutes), "--optimizer", optimizer, "--out", str(out)),
    )


def perplexity(artifact: Path, files: Sequence[Path]) -> float:
    """Perplexity per token, as `python -m training evaluate` measures it."""
    return float(run_training_measurement(artifact, "evaluate", "--data", *map(str, files))[METRIC])


def perplexity_table(perplexities: dict[str, dict[str, float]], minutes: float) -> str:
    """The perplexities as Markdown; lower is better."""
    splits = list(next(iter(perplexities.values())))
    rows = [
        [run, *(f"{by_split[split]:.1f}" for split in splits)]
        for run, by_split in perplexities.items()
    ]
    table = markdown_table(ResultTable("Perplexity", ("perplexity", *splits), rows))
    return f"{table}\n\nAfter {minutes:g} minutes each, with the same size and tokens.\n"
