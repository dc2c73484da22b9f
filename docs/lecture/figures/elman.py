"""The Elman step with its terms, word by word, and the number of parameters by length and depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from docs.lecture.small_tasks import SENTENCE, agreement_model
from model.architecture import LanguageModelArchitecture
from model.networks import LanguageModel
from model.recurrent import layer_weights
from training.reports.parameters import window_parameters
from training.reports.plotting import AMBER, BLACK, BLUE, GREEN, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "One step of an Elman network, applied to each word"
LENGTHS = (1, 5, 10, 20)
TERMS = {"W_h h": BLUE, "W_x x": AMBER, "b": GREEN}


def measure(quick: bool) -> dict[str, Any]:
    """The terms of the unit whose state tells most words apart, and counts of parameters."""
    model, tokenizer = agreement_model("elman", 3, 30 if quick else 600)
    ids = [tokenizer.end, *tokenizer.encode(SENTENCE)]
    tensors = layer_weights(model.recurrent, "elman", 0).tensors
    input_HE, hidden_HH, input_bias_H, hidden_bias_H = (tensor.detach() for tensor in tensors)
    state_H = model.initial_hidden_L1H.detach()[0, 0]
    rows: list[dict[str, Any]] = []
    with torch.no_grad():
        for token in ids:
            carried_H = hidden_HH @ state_H
            read_H = input_HE @ model.embedding.weight[token]
            bias_H = input_bias_H + hidden_bias_H
            state_H = torch.tanh(carried_H + read_H + bias_H)
            rows.append({"W_h h": carried_H, "W_x x": read_H, "b": bias_H, "h": state_H})
        fused_TBH = model.encode(torch.tensor(ids)[:, None], model.initial_state(1)).raw_TBH
    states_TH = torch.stack([row["h"] for row in rows])
    unit = int(states_TH.std(dim=0).argmax())
    steps = [{name: round(float(value[unit]), 4) for name, value in row.items()} for row in rows]
    counts = {layers: _parameters(layers) for layers in (1, 2, 3)}
    return {
        "words": ["[END]", *(piece.text.strip() for piece in tokenizer.pieces(SENTENCE))],
        "unit": unit + 1,
        "steps": steps,
        "difference": float((states_TH - fused_TBH[:, 0]).abs().max()),
        "lengths": list(LENGTHS),
        "recurrent": [counts[1]] * len(LENGTHS),
        "window": [window_parameters(_network(1), length) for length in LENGTHS],
        "layers": {str(layers): count for layers, count in counts.items()},
    }


def _network(layers: int) -> LanguageModel:
    architecture = LanguageModelArchitecture(
        cell="elman", vocabulary=10, embedding=128, hidden=128, layers=layers
    )
    return LanguageModel(architecture)


def _parameters(layers: int) -> int:
    """Of the recurrent layers alone, with one bias for each unit as in the formula."""
    named = _network(layers).recurrent.named_parameters()
    return sum(p.numel() for name, p in named if not name.startswith("bias_hh"))


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """Bars of the terms and the line of the state; below, parameters by length."""
    top, bottom = figure.subplots(2, 1, height_ratios=[3, 2])
    places = range(len(numbers["words"]))
    for shift, (name, color) in enumerate(TERMS.items()):
        heights = [step[name] for step in numbers["steps"]]
        top.bar([x + 0.25 * (shift - 1) for x in places], heights, 0.25, color=color, label=name)
    states = [step["h"] for step in numbers["steps"]]
    top.plot(places, states, "o-", color=BLACK, label="h = tanh(sum)")
    top.set_xticks(list(places), numbers["words"])
    top.set_ylabel(f"unit {numbers['unit']}")
    top.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    bottom.plot(numbers["lengths"], numbers["window"], "o-", color=RED, label="MLP on all words")
    bottom.plot(numbers["lengths"], numbers["recurrent"], "o-", color=BLUE, label="recurrent layer")
    bottom.set_xticks(numbers["lengths"])
    bottom.set_xlabel("words of the text")
    bottom.set_ylabel("parameters")
    bottom.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    bottom.legend()


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    counts = list(numbers["layers"].values())
    return {
        "the formula gives the states of the network": numbers["difference"] < 1e-5,
        "the count does not depend on the length": len(set(numbers["recurrent"])) == 1,
        "an MLP on all words grows": numbers["window"] == sorted(set(numbers["window"])),
        "each layer adds the same count": counts[2] - counts[1] == counts[1] - counts[0],
    }
