"""Measures `python -m training lm` beside a plain script: same data, tokens, size and minutes.

Ours runs first and makes the tokenizer; all are measured by `python -m training evaluate`, on the
same tokens. One after the other, so that each has the whole machine. Knows no details of either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.subprocesses import measured, run_module

FIGURE = "perplexity"


@dataclass(frozen=True)
class TrainingPlan:
    """The corpus, the size and the time that every run gets. `options`: more for ours alone."""

    train: Sequence[Path]
    valid: Sequence[Path]
    test: Sequence[Path]
    minutes: float
    hidden: int
    layers: int
    vocabulary: int | None
    options: Sequence[str]
    out: Path


def compare(plan: TrainingPlan) -> dict[str, dict[str, float]]:
    """Trains all and returns the perplexity of each on both splits: {run: {split: perplexity}}."""
    ours = plan.out / "unroll"
    train_ours(plan, ours)
    runs = {"Unroll": ours}
    for optimizer in ("sgd", "adam"):
        runs[f"plain script, {optimizer}"] = plan.out / f"plain-{optimizer}"
        train_plain(plan, optimizer, ours / "tokenizer.json", plan.out / f"plain-{optimizer}")
    splits = {"valid": plan.valid, "test": plan.test}
    return {
        name: {split: perplexity(artifact, files) for split, files in splits.items() if files}
        for name, artifact in runs.items()
    }


def train_ours(plan: TrainingPlan, out: Path) -> None:
    """Runs our own command."""
    run_module(
        *("training", "lm", "--tokenizer", "word", "--cell", "lstm", "--overwrite"),
        *("--train", *map(str, plan.train), "--valid", *map(str, plan.valid)),
        *("--hidden", str(plan.hidden), "--embedding", str(plan.hidden)),
        *("--layers", str(plan.layers), "--tied", "--minutes", str(plan.minutes)),
        *(("--vocabulary", str(plan.vocabulary)) if plan.vocabulary else ()),
        *("--out", str(out), *plan.options),
    )


def train_plain(plan: TrainingPlan, optimizer: str, tokenizer: Path, out: Path) -> None:
    """Runs the plain script."""
    run_module(
        *("benchmarks.peers.word_language_model", "--tokenizer", str(tokenizer)),
        *("--train", *map(str, plan.train), "--valid", *map(str, plan.valid)),
        *("--hidden", str(plan.hidden), "--layers", str(plan.layers)),
        *("--minutes", str(plan.minutes), "--optimizer", optimizer, "--out", str(out)),
    )


def perplexity(artifact: Path, files: Sequence[Path]) -> float:
    """Perplexity for each token, as our own command measures it."""
    return float(measured(artifact, "evaluate", "--data", *map(str, files))[FIGURE])


def table(found: dict[str, dict[str, float]], minutes: float) -> str:
    """The perplexities as markdown; lower is better."""
    splits = list(next(iter(found.values())))
    rows = [["perplexity", *splits], ["---", *["---:"] * len(splits)]]
    rows += [
        [name, *(f"{figures[split]:.1f}" for split in splits)] for name, figures in found.items()
    ]
    lines = "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
    return f"{lines}\n\nAfter {minutes:g} minutes each, same size, same tokens.\n"
