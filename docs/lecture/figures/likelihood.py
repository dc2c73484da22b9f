"""The terms of log P(sentence), with that of [END]."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch

from docs.lecture.pretrained import first_known, language_model, network_of
from training.reports.plotting import BLUE, RED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "log P(sentence) is a sum of next-word terms"
SENTENCES = (
    "The keys to the cabinet are on the left.",
    "The laws of the country are good.",
)


def measure(quick: bool) -> dict[str, Any]:  # noqa: ARG001 - it takes a second either way
    """The log-probability of each token and of [END], and their sum."""
    artifact = language_model()
    tokenizer, network = artifact.tokenizer, network_of(artifact)
    sentence = first_known(SENTENCES, tokenizer)
    pieces = tokenizer.pieces(sentence)
    tokens_T = torch.tensor([tokenizer.end, *(piece.id for piece in pieces), tokenizer.end])
    with torch.no_grad():
        logits_TBV, _ = network(tokens_T[:-1, None], network.initial_state(1))
    logs_TV = logits_TBV[:, 0].double().log_softmax(dim=1)
    terms = logs_TV.gather(1, tokens_T[1:, None])[:, 0].tolist()
    best = [tokenizer.name_of(token).strip() for token in logs_TV.argmax(dim=1).tolist()]
    return {
        "model": artifact.manifest.name,
        "sentence": sentence,
        "tokens": [*(piece.text.strip() for piece in pieces), "[END]"],
        "terms": [round(term, 4) for term in terms],
        "running": [round(total, 4) for total in itertools.accumulate(terms)],
        "total": round(sum(terms), 4),
        "perplexity": round(2.718281828459045 ** (-sum(terms) / len(terms)), 2),
        "likeliest": best,
    }


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """Bars of the terms above their running sum."""
    top, bottom = figure.subplots(2, 1, sharex=True)
    places = range(len(numbers["tokens"]))
    surprisal = [-term for term in numbers["terms"]]
    colors = [BLUE] * (len(places) - 1) + [RED]
    bars = top.bar(places, surprisal, color=colors)
    top.bar_label(bars, fmt="%.1f", padding=2)
    top.set_ylabel("-log p (nats)")
    top.margins(y=0.2)
    bottom.plot(places, numbers["running"], "o-", color=BLUE)
    bottom.set_ylabel("sum of log p")
    bottom.set_xticks(list(places), numbers["tokens"], rotation=25)


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    return {
        "the terms add up": abs(sum(numbers["terms"]) - numbers["total"]) < 1e-2,
        "[END] is unlikely after one sentence": numbers["terms"][-1] < -2,
        "the first word is hard to predict": numbers["terms"][0] < -2,
    }
