"""Truncated backpropagation through time: what is learned by the length of the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from docs.lecture.small_tasks import RECALLED, final, recall_model, recall_stream, train_recall
from model.inspection import word_gradients
from training.reports.plotting import BLUE, DARK_GRAY, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "A symbol comes back 9 steps later: what each window learns"
DELAY = 8  # fillers between, so the answer is 9 steps after the symbol
WINDOWS = (2, 3, 4, 6, 8, 9, 10, 12)


def measure(quick: bool) -> dict[str, Any]:
    """Accuracy after training by window, and the gradient at each step for two windows."""
    windows = (3, 10) if quick else WINDOWS
    accuracy = {
        str(window): round(
            final(
                train_recall(
                    recall_model("lstm"), delay=DELAY, window=window, steps=100 if quick else 250
                )
            ),
            4,
        )
        for window in windows
    }
    inputs_TB, targets_TB = next(recall_stream(DELAY, 1, 1, np.random.default_rng(3)))
    model = recall_model("lstm")
    norms = word_gradients(
        model, inputs_TB[:, 0], int(targets_TB[-1, 0]), model.initial_state(1)
    ).vectors_T.tolist()
    return {
        "delay": DELAY + 1,
        "chance": round(1 / RECALLED, 4),
        "accuracy": accuracy,
        "gradient_at_symbol": round(norms[0] / norms[-1], 5),
    }


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """Accuracy by window."""
    axes = figure.subplots()
    windows = list(map(int, numbers["accuracy"]))
    values = list(numbers["accuracy"].values())
    reaches = [window > numbers["delay"] for window in windows]
    bars = axes.bar(
        range(len(windows)), values, color=[BLUE if reached else RED for reached in reaches]
    )
    axes.bar_label(bars, fmt="%.2f", padding=2)
    axes.set_xticks(range(len(windows)), list(map(str, windows)))
    axes.axhline(numbers["chance"], color=DARK_GRAY, linewidth=1.5, linestyle="--")
    axes.text(-0.4, numbers["chance"] + 0.12, "guessing (dashed)", color=DARK_GRAY)
    axes.set_xlabel("window of backpropagation in tokens")
    axes.set_ylabel("accuracy of the answer")
    axes.set_ylim(0, 1.12)
    axes.grid(visible=False, axis="x")


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    short = [a for w, a in numbers["accuracy"].items() if int(w) <= numbers["delay"]]
    long = [a for w, a in numbers["accuracy"].items() if int(w) > numbers["delay"]]
    return {
        "a window that ends before the symbol learns nothing": max(short) < 0.35,
        "a window that holds it learns it": min(long) > 0.9,
    }
