"""`python -m training classifier` beside fastText and TF-IDF with a linear SVM.

All get the same splits, minutes and threads, and run one after the other in separate processes.
They are compared by their answers to the test texts.
"""

import json
import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.subprocesses import run_module, run_training_measurement
from benchmarks.peers.labeled_texts import read_texts

PEERS = {
    "TF-IDF and linear SVM": "benchmarks.peers.linear_classifier",
    "fastText, autotuned": "benchmarks.peers.fasttext_classifier",
}
UNROLL_NAME = "Unroll"


@dataclass(frozen=True)
class ClassifierPlan:
    """Splits, time, threads and seeds of every run, and further ``options`` of Unroll's run."""

    train: Sequence[Path]
    valid: Sequence[Path]
    test: Sequence[Path]
    minutes: float
    threads: int
    seeds: Sequence[int]
    options: Sequence[str]
    out: Path


@dataclass(frozen=True)
class TrainedClassifier:
    """The result of one run; ``cpu_seconds`` is the time of all its threads."""

    classifier: str
    seed: int
    accuracy: float
    macro_f1: float
    seconds: float
    cpu_seconds: float


def compare_classifiers(plan: ClassifierPlan) -> list[TrainedClassifier]:
    """Trains and evaluates all classifiers, seed by seed."""
    runs = []
    for seed in plan.seeds:
        runs += [_run_peer(plan, seed, name, module) for name, module in PEERS.items()]
        runs.append(_run_unroll(plan, seed))
    return runs


def _run_peer(plan: ClassifierPlan, seed: int, name: str, module: str) -> TrainedClassifier:
    output = plan.out / "answers.json"
    seconds, cpu_seconds = _run_timed(
        plan,
        *(module, *_splits(plan, "test"), "--minutes", str(plan.minutes)),
        *("--threads", str(plan.threads), "--seed", str(seed), "--answers", str(output)),
    )
    labels = read_texts(plan.test).labels
    answers = json.loads(output.read_text(encoding="utf-8"))
    accuracy, macro_f1 = accuracy_and_macro_f1(labels, answers)
    return TrainedClassifier(name, seed, accuracy, macro_f1, seconds, cpu_seconds)


def _run_unroll(plan: ClassifierPlan, seed: int) -> TrainedClassifier:
    artifact = plan.out / f"unroll-{seed}"
    seconds, cpu_seconds = _run_timed(
        plan,
        *("training", "classifier", *_splits(plan), "--minutes", str(plan.minutes)),
        *("--threads", str(plan.threads), "--seed", str(seed)),
        *("--overwrite", "--out", str(artifact), *plan.options),
    )
    data = ["--data", *map(str, plan.test)]
    metrics = run_training_measurement(artifact, "evaluate", *data, threads=plan.threads)
    accuracy, macro_f1 = metrics["accuracy"], metrics["macro_f1"]
    return TrainedClassifier(UNROLL_NAME, seed, accuracy, macro_f1, seconds, cpu_seconds)


def _splits(plan: ClassifierPlan, *further_splits: str) -> list[str]:
    return [
        argument
        for split in ("train", "valid", *further_splits)
        for argument in (f"--{split}", *map(str, getattr(plan, split)))
    ]


def _run_timed(plan: ClassifierPlan, module: str, *arguments: str) -> tuple[float, float]:
    """Runs a module; returns its seconds and CPU seconds."""
    begin, usage_before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run_module(module, *arguments, threads=plan.threads)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = usage.ru_utime + usage.ru_stime - usage_before.ru_utime - usage_before.ru_stime
    return time.monotonic() - begin, cpu_seconds


def accuracy_and_macro_f1(labels: Sequence[str], answers: Sequence[str]) -> tuple[float, float]:
    """Accuracy, and the mean F1 over all labels that occur among the labels or the answers."""
    pairs = zip(labels, answers, strict=True)
    true_positives = Counter(label for label, answer in pairs if label == answer)
    label_counts, answer_counts = Counter(labels), Counter(answers)
    f1 = [
        2 * true_positives[label] / (label_counts[label] + answer_counts[label])
        for label in label_counts | answer_counts
    ]
    return true_positives.total() / len(labels), sum(f1) / len(f1)
