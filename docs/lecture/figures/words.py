"""Word vectors of the default language model, and random ones as before training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from docs.lecture.pretrained import language_model
from model.networks import word_vectors
from model.words.word_map import map_words, principal_components, token_of
from training.reports.plotting import AMBER, BLUE, GREEN, RED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Label = tuple[str, float, float, str, bool]

TITLE = "The same words before and after training"
ASKED = ("war", "school", "women", "summer")
COLORS = (RED, BLUE, GREEN, AMBER)
NEIGHBORS = 3


def measure(quick: bool) -> dict[str, Any]:  # noqa: ARG001 - it takes a second either way
    """Nearest words with cosines, and two maps of the same words."""
    artifact = language_model()
    vectors_VE = artifact.network.embedding.weight.detach()
    trained = map_words("trained", vectors_VE, artifact.tokenizer, ASKED, NEIGHBORS)
    groups: dict[str, list[list[Any]]] = {
        found.word: [[text, round(cosine, 4)] for text, cosine in found.neighbors]
        for found in trained.words
    }
    shown = [[word, *(text for text, _ in near)] for word, near in groups.items()]
    tokens = [token_of(word, artifact.tokenizer) for group in shown for word in group]
    torch.manual_seed(0)
    random_VE = word_vectors(*vectors_VE.shape).weight.detach()
    maps = {}
    cosines = {}
    for name, table_VE in (("before", random_VE), ("after", vectors_VE)):
        units_NE = functional.normalize(table_VE[tokens].double(), dim=1)
        points_N2, _ = principal_components(units_NE)
        maps[name] = [[round(x, 4) for x in point] for point in points_N2.tolist()]
        units_GNE = units_NE.view(len(ASKED), NEIGHBORS + 1, -1)
        within_GN = (units_GNE[:, :1] * units_GNE[:, 1:]).sum(dim=2)
        cosines[name] = round(float(within_GN.mean()), 4)
    return {
        "model": artifact.manifest.name,
        "vocabulary": len(vectors_VE),
        "width": vectors_VE.shape[1],
        "neighbors": groups,
        "cosine": cosines,
        "points": maps,
    }


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """Two maps side by side, a color for each word that was asked for."""
    words = [[word, *(text for text, _ in near)] for word, near in numbers["neighbors"].items()]
    for axes, name in zip(figure.subplots(1, 2), ("before", "after"), strict=True):
        points, labels = iter(numbers["points"][name]), list[Label]()
        for group, color in zip(words, COLORS, strict=True):
            for rank, (word, (x, y)) in enumerate(zip(group, points, strict=False)):
                axes.plot(x, y, "o", color=color, markersize=9 if rank == 0 else 5)
                labels.append((word, x, y, color, rank == 0))
        axes.margins(0.3, 0.15)
        axes.autoscale_view()
        _label(axes, labels)
        axes.set_title(f"{name} training: mean cosine {numbers['cosine'][name]:.2f}")
        axes.set_xticklabels([])
        axes.set_yticklabels([])


def _label(axes: Axes, labels: list[Label]) -> None:
    """Writes each word beside its point, at the first place with the least overlap."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    character, line = (right - left) / 30, (high - low) / 17
    taken = [(x - character / 2, x + character / 2, y) for _, x, y, _, _ in labels]
    for word, x, y, color, asked in labels:
        width = character * len(word) * (1.15 if asked else 1)
        sides = (x + 0.8 * character, x - width - 0.8 * character, x - width / 2)
        places = [(sides[0], y), (sides[1], y)]
        places += [(side, y + n * line) for n in (1, -1, 1.5, -1.5) for side in sides]
        at, height = min(
            places,
            key=lambda place: (
                max(0, left - place[0], place[0] + width - right) / character
                + sum(
                    max(0, min(place[0] + width, end) - max(place[0], start))
                    / character
                    * max(0, 1 - abs(place[1] - other) / line)
                    for start, end, other in taken
                )
            ),
        )
        taken.append((at, at + width, height))
        weight = "bold" if asked else "normal"
        axes.text(at, height, word, color=color, fontweight=weight, va="center")


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    return {
        "random vectors are about orthogonal": abs(numbers["cosine"]["before"]) < 0.15,
        "trained neighbors point the same way": numbers["cosine"]["after"] > 0.25,
    }
