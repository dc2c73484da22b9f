"""A unit of the character model that follows the position in the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from docs.lecture.pretrained import language_model, network_of
from model.inspection import inspect
from model.units.markings import position_in_line
from model.units.unit_search import correlations
from training.reports.plotting import BLUE, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "One unit of the character model, over a text"
# Our own lines, in the form of the text that the model was trained on.
TEXT = """GARDENER:
The keys to the cabinet by the door
Are where you left them, sir, upon the shelf;
I saw them shine there when the morning came,
And had I hands more idle than I have
I would have brought them to you.

STEWARD:
Good man, well said.
But tell me who has oiled the lock, and when,
For it has turned as lightly as a thought.
"""
SEARCHED = """WIDOW:
My lord, the rain has taken half the field,
And what is left the crows have shared between them.
I ask no gift.

LORD:
Then ask, and have it lent;
The river owes us both a better year.
Go to the mill, and say that I have sent you.
"""
SHOWN_LINES = 5


def measure(quick: bool) -> dict[str, Any]:  # noqa: ARG001 - it takes seconds either way
    """The unit that follows the line best on one text, and its values on the other."""
    searched_TU, held_out_TU = (_states(text) for text in (SEARCHED, TEXT))
    found_U = correlations(searched_TU, position_in_line(SEARCHED))
    unit = int(np.abs(found_U).argmax())
    held_out_U = correlations(held_out_TU, position_in_line(TEXT))
    lines = TEXT.split("\n")[:SHOWN_LINES]
    shown = sum(len(line) + 1 for line in lines)
    hidden = held_out_TU.shape[1] // 2
    return {
        "layer": unit // hidden + 1,
        "unit": unit % hidden,
        "searched": round(float(found_U[unit]), 4),
        "held_out": round(float(held_out_U[unit]), 4),
        "units": held_out_TU.shape[1],
        "following": int((np.abs(held_out_U) > 0.5).sum()),
        "lines": lines,
        "values": [round(float(v), 3) for v in held_out_TU[:shown, unit]],
    }


@torch.no_grad()
def _states(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Hidden states (T, units of all layers) after each character."""
    artifact = language_model("shakespeare-char")
    network, tokenizer = network_of(artifact), artifact.tokenizer
    tokens_TB = torch.tensor([tokenizer.end, *tokenizer.encode(text)])[:, None]
    layers = inspect(network, tokens_TB, network.initial_state(1))
    states = [torch.stack([step.hidden_BH[0] for step in steps]) for steps in layers]
    return torch.cat(states, dim=1)[1:].numpy()


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """The text with a square behind each character: blue high, red low."""
    top, bottom = figure.subplots(2, 1, height_ratios=[3, 2])
    values = iter(numbers["values"])
    widest = max(map(len, numbers["lines"])) + 1
    end = 0
    for row, line in enumerate(numbers["lines"]):
        for column, character in enumerate([*line, "\u21b5"]):
            value = next(values)
            color = BLUE if value > 0 else RED
            top.barh(row, 1, 0.94, left=column - 0.5, color=color, alpha=min(1.0, abs(value)) * 0.6)
            top.text(column, row, character, ha="center", va="center", family="monospace")
            end += 1
    top.set_xlim(-1, widest)
    top.set_ylim(len(numbers["lines"]) - 0.4, -0.6)
    top.set_axis_off()
    bottom.plot(numbers["values"], color=BLUE, linewidth=1.5)
    borders = np.cumsum([len(line) + 1 for line in numbers["lines"]])[:-1]
    for border in borders:
        bottom.axvline(border - 0.5, color=RED, linewidth=1, linestyle="--")
    bottom.set_xlim(0, end)
    bottom.set_xlabel("character (dashed: end of a line)")
    bottom.set_ylabel(f"layer {numbers['layer']}, unit {numbers['unit']}")


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    return {
        "the unit follows the line on a text it was not chosen on": abs(numbers["held_out"]) > 0.7,
        "most units do not": numbers["following"] < numbers["units"] / 4,
    }
