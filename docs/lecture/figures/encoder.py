"""The encoder: accuracy of each cell beside a bag of words, and the answers to four reviews."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from docs.lecture.small_tasks import descend, padded, review, small_classifier
from model.architecture import Cell
from model.networks import Classifier
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import train_word_tokenizer
from training.reports.plotting import BLUE, DARK_GRAY, GREEN, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "A text, its final hidden state, and a label"
REVIEWS = (
    "the film is good",
    "the film is not good",
    "the film is not good but the music is great",
    "the film is great but the music is not good",
)
CELLS: dict[Cell, str] = {"elman": RED, "gru": GREEN, "lstm": BLUE}
TRAINING, HELD_OUT, ROWS = 2000, 500, 64


def measure(quick: bool) -> dict[str, Any]:
    """Held-out accuracies, and p(positive) of four reviews."""
    chance = random.Random(0)
    train, held_out = ([review(chance) for _ in range(n)] for n in (TRAINING, HELD_OUT))
    tokenizer = train_word_tokenizer(
        [text for text, _ in train], vocabulary=None, pretokenized=True
    )
    steps = 100 if quick else 300
    accuracy = {"bag of words": round(_bag_accuracy(tokenizer, train, held_out, steps), 4)}
    positive = {}
    cells: list[Cell] = ["gru"] if quick else list(CELLS)
    for cell in cells:
        torch.manual_seed(0)
        model = small_classifier(cell, tokenizer.size, hidden=24)
        draw = random.Random(1)

        def loss(model: Classifier = model, draw: random.Random = draw) -> torch.Tensor:
            rows = draw.sample(train, ROWS)
            labels_B = torch.tensor([label for _, label in rows])
            return functional.cross_entropy(model(*_batch(tokenizer, rows)), labels_B)

        descend(model, steps, 0.01, loss)
        with torch.no_grad():
            labels_B = torch.tensor([label for _, label in held_out])
            right_B = model(*_batch(tokenizer, held_out)).argmax(dim=1) == labels_B
            accuracy[cell] = round(float(right_B.float().mean()), 4)
            shown = _batch(tokenizer, [(text, 0) for text in REVIEWS])
            positive[cell] = [round(p, 4) for p in model(*shown).softmax(dim=1)[:, 1].tolist()]
    return {"reviews": list(REVIEWS), "accuracy": accuracy, "positive": positive}


def _batch(tokenizer: Tokenizer, rows: list[tuple[str, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    return padded([tokenizer.encode(text) for text, _ in rows], tokenizer.end)


def _bag_accuracy(
    tokenizer: Tokenizer,
    train: list[tuple[str, int]],
    held_out: list[tuple[str, int]],
    steps: int,
) -> float:
    """Logistic regression on counts of words, which do not tell their order."""

    def counts(rows: list[tuple[str, int]]) -> torch.Tensor:
        ids = [torch.tensor(tokenizer.encode(text)) for text, _ in rows]
        return torch.stack([torch.bincount(i, minlength=tokenizer.size).float() for i in ids])

    torch.manual_seed(0)
    model = torch.nn.Linear(tokenizer.size, 2)
    counts_BV, labels_B = counts(train), torch.tensor([label for _, label in train])
    descend(model, steps, 0.05, lambda: functional.cross_entropy(model(counts_BV), labels_B))
    right_B = model(counts(held_out)).argmax(dim=1) == torch.tensor([y for _, y in held_out])
    return float(right_B.float().mean())


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """Bars of accuracy beside p(positive) by word."""
    left, right = figure.subplots(1, 2, width_ratios=[2, 5])
    names = list(numbers["accuracy"])
    heights = list(numbers["accuracy"].values())
    bars = left.barh(names[::-1], heights[::-1], color=[DARK_GRAY, *CELLS.values()][::-1])
    left.bar_label(bars, fmt="%.2f", padding=3)
    left.set_xlim(0, 1.3)
    left.set_xticks([0, 0.5, 1])
    left.set_title("held-out accuracy")
    left.grid(visible=False, axis="y")
    places = range(len(numbers["reviews"]))
    for shift, (cell, values) in enumerate(numbers["positive"].items()):
        offsets = [place + 0.1 + 0.18 * shift for place in places]
        right.barh(offsets, values, 0.18, color=CELLS[cell])
    for place, text in enumerate(numbers["reviews"]):
        right.text(0, place - 0.16, text, va="center")
    right.set_ylim(len(numbers["reviews"]) - 0.3, -0.4)
    right.set_yticks([])
    right.set_xlim(0, 1.02)
    right.set_xticks([0, 0.5, 1])
    right.set_title("p(positive)")


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    accuracy = numbers["accuracy"]
    return {
        "counts of words are not enough": accuracy["bag of words"] < 0.8,
        "a recurrent encoder learns the rule": accuracy["gru"] > 0.95,
        "the last clause decides, and not turns it": all(
            good > 0.5 and turned > 0.5 and bad < 0.5 and last < 0.5
            for cell, (good, bad, turned, last) in numbers["positive"].items()
            if accuracy[cell] > 0.95
        ),
    }
