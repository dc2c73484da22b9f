"""The distribution of the next word at three temperatures, greedy and sampled texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from docs.lecture.pretrained import first_known, language_model, network_of
from model.tokenization.tokenizer import Tokenizer
from training.reports.plotting import AMBER, BLUE, GREEN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "The next word: one distribution, three temperatures"
PROMPTS = ("The keys to the", "The laws of the")
TEMPERATURES = {"0.5": GREEN, "1.0": BLUE, "2.0": AMBER}
SHOWN, LONGEST = 8, 14


def measure(quick: bool) -> dict[str, Any]:  # noqa: ARG001 - it takes a second either way
    """Probabilities of the likeliest words, a greedy text and three samples."""
    artifact = language_model()
    tokenizer, network = artifact.tokenizer, network_of(artifact)
    prompt = first_known(PROMPTS, tokenizer)
    ids = [tokenizer.end, *tokenizer.encode(prompt)]
    with torch.no_grad():
        logits_TBV, _ = network(torch.tensor(ids)[:, None], network.initial_state(1))
    logits_V = _without_unknown(logits_TBV[-1, 0], tokenizer)
    top = logits_V.argsort(descending=True)[:SHOWN].tolist()
    probabilities = {
        name: [round(p, 4) for p in (logits_V / float(name)).softmax(dim=0)[top].tolist()]
        for name in TEMPERATURES
    }
    return {
        "model": artifact.manifest.name,
        "prompt": prompt,
        "words": [tokenizer.text_of(token).strip() for token in top],
        "probabilities": probabilities,
        "greedy": _continue(ids, 0.0, 0),
        "again": _continue(ids, 0.0, 1),
        "samples": [_continue(ids, 1.0, seed) for seed in (1, 2, 3)],
    }


def _without_unknown(logits_V: Tensor, tokenizer: Tokenizer) -> Tensor:
    """Logits whose distribution leaves [UNK] out."""
    logits_V = logits_V.double()
    if tokenizer.unknown is not None:
        logits_V[tokenizer.unknown] = -torch.inf
    return logits_V


@torch.no_grad()
def _continue(ids: list[int], temperature: float, seed: int) -> str:
    """Words after ``ids`` until [END] or for ``LONGEST`` words; temperature 0 is greedy."""
    artifact = language_model()
    network, tokenizer = network_of(artifact), artifact.tokenizer
    generator = torch.Generator().manual_seed(seed)
    tokens_TB, state, written = torch.tensor(ids)[:, None], network.initial_state(1), list[int]()
    while len(written) < LONGEST:
        logits_TBV, state = network(tokens_TB, state)
        logits_V = _without_unknown(logits_TBV[-1, 0], tokenizer)
        if temperature == 0:
            token = int(logits_V.argmax())
        else:
            chances_V = (logits_V / temperature).softmax(dim=0)
            token = int(chances_V.multinomial(1, generator=generator))
        if token == tokenizer.end:
            return f"{tokenizer.decode(written).strip()} [END]"
        written.append(token)
        tokens_TB = torch.tensor([[token]])
    return f"{tokenizer.decode(written).strip()} ..."


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """Groups of bars by word."""
    axes = figure.subplots()
    places = range(len(numbers["words"]))
    for shift, (name, color) in enumerate(TEMPERATURES.items()):
        heights = numbers["probabilities"][name]
        offsets = [x + 0.28 * (shift - 1) for x in places]
        axes.bar(offsets, heights, 0.28, color=color, label=f"temperature {name}")
    axes.set_xticks(list(places), numbers["words"], rotation=20)
    axes.set_ylabel(f"p(word | {numbers['prompt']})")
    axes.grid(visible=False, axis="x")
    axes.legend()


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    first = [numbers["probabilities"][name][0] for name in TEMPERATURES]
    return {
        "greedy gives the same text each time": numbers["greedy"] == numbers["again"],
        "samples differ": len(set(numbers["samples"])) == len(numbers["samples"]),
        "a low temperature sharpens": first == sorted(first, reverse=True),
    }
