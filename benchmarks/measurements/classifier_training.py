"""Measures `python -m training classifier` beside fastText and TF-IDF with a linear SVM.

Same three splits, minutes and threads; one after the other, each in a process of its own. All are
measured alike, by their answers to the test texts. Knows no details of any of them.
"""

import json
import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.subprocesses import measured, run_module
from benchmarks.peers.labeled_texts import read_texts

PEERS = {
    "TF-IDF and linear SVM": "benchmarks.peers.linear_classifier",
    "fastText, autotuned": "benchmarks.peers.fasttext_classifier",
}
OURS = "Unroll"


@dataclass(frozen=True)
class ClassifierPlan:
    """The splits, and what every run gets. `options`: more for ours alone."""

    train: Sequence[Path]
    valid: Sequence[Path]
    test: Sequence[Path]
    minutes: float
    threads: int
    seeds: Sequence[int]
    options: Sequence[str]
    out: Path


@dataclass(frozen=True)
class Trained:
    """What came of one run; ``cpu_seconds`` are of all its threads."""

    classifier: str
    seed: int
    accuracy: float
    macro_f1: float
    seconds: float
    cpu_seconds: float


def compare(plan: ClassifierPlan) -> list[Trained]:
    """Trains and measures all, seed by seed."""
    runs = []
    for seed in plan.seeds:
        runs += [_peer(plan, seed, name, module) for name, module in PEERS.items()]
        runs.append(_ours(plan, seed))
    return runs


def _peer(plan: ClassifierPlan, seed: int, name: str, module: str) -> Trained:
    answers = plan.out / "answers.json"
    seconds, cpu_seconds = _run(
        plan,
        *(module, *_splits(plan, "test"), "--minutes", str(plan.minutes)),
        *("--threads", str(plan.threads), "--seed", str(seed), "--answers", str(answers)),
    )
    truth = read_texts(plan.test).labels
    chosen = json.loads(answers.read_text(encoding="utf-8"))
    accuracy, macro_f1 = scores(truth, chosen)
    return Trained(name, seed, accuracy, macro_f1, seconds, cpu_seconds)


def _ours(plan: ClassifierPlan, seed: int) -> Trained:
    artifact = plan.out / f"unroll-{seed}"
    seconds, cpu_seconds = _run(
        plan,
        *("training", "classifier", *_splits(plan), "--minutes", str(plan.minutes)),
        *("--threads", str(plan.threads), "--seed", str(seed)),
        *("--overwrite", "--out", str(artifact), *plan.options),
    )
    data = ["--data", *map(str, plan.test)]
    found = measured(artifact, "evaluate", *data, threads=plan.threads)
    return Trained(OURS, seed, found["accuracy"], found["macro_f1"], seconds, cpu_seconds)


def _splits(plan: ClassifierPlan, *more: str) -> list[str]:
    return [
        part
        for split in ("train", "valid", *more)
        for part in (f"--{split}", *map(str, getattr(plan, split)))
    ]


def _run(plan: ClassifierPlan, module: str, *arguments: str) -> tuple[float, float]:
    """Runs a module to its end: seconds, and processor seconds. Exits if it fails."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run_module(module, *arguments, threads=plan.threads)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, used


def scores(truth: Sequence[str], answers: Sequence[str]) -> tuple[float, float]:
    """Accuracy, and the mean of F1 over the labels that occur or are answered."""
    right = Counter(t for t, a in zip(truth, answers, strict=True) if t == a)
    occurring, answered = Counter(truth), Counter(answers)
    labels = occurring | answered
    f1 = [2 * right[label] / (occurring[label] + answered[label]) for label in labels]
    return right.total() / len(truth), sum(f1) / len(f1)
