"""What the figures of an evaluation are called and what they say, and how their values are told."""

from __future__ import annotations

from collections.abc import Mapping

LEGIBLE = 1e6  # numbers above that are written with a power of ten
OUT_OF_SCOPE = "out_of_scope_"  # so begin the names of these figures
NAMES = {
    "macro_f1": "macro F1",
    "calibration_error_before": "calibration error as trained",
    "out_of_scope_auroc": "out of scope: AUROC",
    "out_of_scope_recall": "out of scope: recall",
    "out_of_scope_precision": "out of scope: precision",
    "out_of_scope_false_accept": "out of scope: false accept",
    "out_of_scope_false_reject": "out of scope: false reject",
    "out_of_scope_in_scope_accuracy": "in scope: accuracy",
}
SPELLING = ("word_perplexity", "bits_per_character", "bits_per_byte")
UNDERSTATED = (
    "too low, because of an unknown word ([UNK]) only that it is unknown is predicted, not its "
    "spelling"
)
LEFT_OUT = "left out, because so many words are unknown ([UNK]) that they would mean nothing"
OF_LANGUAGE_MODELS = {
    "loss": "mean -log p of a token, in nats",
    "perplexity": "e to the power of the loss: so many tokens would be as hard to choose from",
    "word_perplexity": "the same for each word; other tokenizers can be compared by it",
    "bits_per_character": "what the text costs, spread over its characters; comparable as well",
    "bits_per_byte": "the same over its bytes in UTF-8",
    "unknown_share": "of the tokens: [UNK], whose spelling costs nothing here",
    "tokens": "that were predicted, the [END] of each document among them",
    "words": "what stands between white space",
}
OF_CLASSIFIERS = {
    "accuracy": "of all documents: got the right answer",
    "macro_f1": "the mean over labels of F1, which is 2 x right / (documents + answers)",
    "loss": "mean -log p of the right answer as trained, in nats",
    "calibration_error_before": "mean distance of confidence and accuracy, without the temperature",
    "calibration_error": "the same as it is served, with the temperature",
}


def understated(figures: Mapping[str, float]) -> list[str]:
    """Figures of the text's spelling, where unknown words make them too low."""
    return [name for name in SPELLING if name in figures and figures["unknown_share"] > 0]


def left_out(figures: Mapping[str, float]) -> list[str]:
    """Figures of the text's spelling that are missing."""
    return [name for name in SPELLING if "unknown_share" in figures and name not in figures]


def format_name(name: str) -> str:
    """As people call it."""
    return NAMES.get(name, name.replace("_", " "))


def format_value(name: str, value: float) -> str:
    """With as many digits as mean something."""
    if isinstance(value, int):
        return f"{value:,}"
    if name.endswith("_share"):
        return f"{value:.2%}"
    return format_perplexity(value) if "perplexity" in name else format_loss(value)


def format_perplexity(value: float) -> str:
    """With a power of ten where nobody could count the digits."""
    return f"{value:,.2f}" if value < LEGIBLE else f"{value:.3e}"


def format_loss(value: float) -> str:
    """The same with four digits after the point."""
    return f"{value:.4f}" if abs(value) < LEGIBLE else f"{value:.3e}"
