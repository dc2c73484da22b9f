"""The keys to the cabinet: is or are, and the gradient that reaches each word."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import torch

from docs.lecture.pretrained import first_known, language_model, network_of
from docs.lecture.small_tasks import SENTENCE, SINGULAR, agreement_model, agreement_sentence
from model.inspection import word_gradients
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from model.words.word_map import token_of
from training.reports.plotting import BLUE, GREEN, RED, format_powers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "The keys to the cabinet by the door on the left ___"
CELLS = {"elman": RED, "gru": GREEN, "lstm": BLUE}
# For the default model, which may not know the words of the lecture's sentence.
FOR_DEFAULT = (SENTENCE, "the laws of the country by the side of the road on the left")
NOUNS = {*SINGULAR, *(f"{noun}s" for noun in SINGULAR), "left"}
HELD_OUT = 400


def measure(quick: bool) -> dict[str, Any]:
    """p(are) : p(is) after each noun and gradients, by cell; held-out accuracy; default model."""
    cells = {}
    for cell in ("elman", "gru") if quick else CELLS:
        model, tokenizer = agreement_model(cell, 32, 250 if quick else 600)
        cells[cell] = _traced(model, tokenizer, SENTENCE) | {
            "accuracy": _accuracy(model, tokenizer, 50 if quick else HELD_OUT)
        }
    artifact = language_model()
    sentence = first_known(
        [f" {text[:1].upper()}{text[1:]}" for text in FOR_DEFAULT], artifact.tokenizer
    )
    default = _traced(network_of(artifact), artifact.tokenizer, sentence)
    return {
        "cells": cells,
        "default": {"model": artifact.manifest.name, "sentence": sentence.strip(), **default},
    }


def _traced(model: LanguageModel, tokenizer: Tokenizer, sentence: str) -> dict[str, Any]:
    """Ratios after each word, and the gradient of the loss of "are" at each word's vector."""
    ids = [tokenizer.end, *tokenizer.encode(sentence)]
    plural, singular = token_of("are", tokenizer), token_of("is", tokenizer)
    with torch.no_grad():
        logits_TBV, _ = model(torch.tensor(ids)[:, None], model.initial_state(1))
        ratios_T = (logits_TBV[:, 0, plural] - logits_TBV[:, 0, singular]).exp()
    found = word_gradients(model, torch.tensor(ids), plural, model.initial_state(1))
    return {
        "words": ["[END]", *(piece.text.strip() for piece in tokenizer.pieces(sentence))],
        "are_to_is": [round(ratio, 4) for ratio in ratios_T.tolist()],
        "gradients": [round(norm, 5) for norm in found.vectors_T.tolist()],
        "loss": round(found.loss, 4),
    }


@torch.no_grad()
def _accuracy(model: LanguageModel, tokenizer: Tokenizer, count: int) -> float:
    """Share of new sentences whose verb is likelier than the other one."""
    chance, right = random.Random(99), 0
    verbs = {verb: token_of(verb, tokenizer) for verb in ("is", "are")}
    for _ in range(count):
        words = agreement_sentence(chance).split()
        at = next(place for place, word in enumerate(words) if word in verbs)
        ids = [tokenizer.end, *tokenizer.encode(" ".join(words[:at]))]
        logits_TBV, _ = model(torch.tensor(ids)[:, None], model.initial_state(1))
        chosen = max(verbs, key=lambda verb: float(logits_TBV[-1, 0, verbs[verb]]))
        right += chosen == words[at]
    return round(right / count, 4)


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """Ratios above, gradients below, with the words between."""
    top, bottom = figure.subplots(2, 1)
    words = numbers["cells"]["elman"]["words"]
    nouns = [place for place, word in enumerate(words) if word in NOUNS]
    for (cell, traced), style in zip(numbers["cells"].items(), ("o-", "s--", "^:"), strict=False):
        ratios = [traced["are_to_is"][place] for place in nouns]
        top.semilogy(nouns, ratios, style, color=CELLS[cell], label=cell)
    top.set_xlim(-0.6, len(words) - 0.4)
    top.set_xticks(nouns, [words[place] for place in nouns])
    top.axhline(1, color="#5a5a5a", linewidth=1)
    format_powers(top.yaxis)
    top.set_ylabel("p(are) : p(is)")
    top.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)
    for shift, (cell, traced) in enumerate(numbers["cells"].items()):
        places = [x + 0.28 * (shift - 1) for x in range(len(words))]
        bottom.bar(places, traced["gradients"], 0.28, color=CELLS[cell])
    bottom.set_xlim(-0.6, len(words) - 0.4)
    bottom.set_xticks(range(len(words)), words)
    bottom.set_ylabel("gradient of\n-log p(are)")
    bottom.grid(visible=False, axis="x")


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    return {
        "each cell says are at the end": all(
            traced["are_to_is"][-1] > 1 for traced in numbers["cells"].values()
        ),
        "each cell has learned agreement": all(
            traced["accuracy"] > 0.9 for traced in numbers["cells"].values()
        ),
        "keys gets more of the gradient in gated cells": all(
            _share(numbers, cell) > 2 * _share(numbers, "elman")
            for cell in numbers["cells"]
            if cell != "elman"
        ),
    }


def _share(numbers: dict[str, Any], cell: str) -> float:
    """The gradient at "keys" divided by the largest one."""
    traced = numbers["cells"][cell]
    return float(traced["gradients"][2] / max(traced["gradients"]))
