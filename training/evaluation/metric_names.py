"""Display names, descriptions and number formats of evaluation metrics."""

from __future__ import annotations

from collections.abc import Mapping

LARGEST_DECIMAL = 1e6  # larger values have an exponent
OUT_OF_SCOPE_PREFIX = "out_of_scope_"
DISPLAY_NAMES = {
    "perplexity": "perplexity per token",
    "word_perplexity": "perplexity per word",
    "word_and_line_perplexity": "perplexity per word or line end",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "calibration_error_before": "calibration error as trained",
    "out_of_scope_auroc": "out of scope: AUROC",
    "out_of_scope_recall": "out of scope: recall",
    "out_of_scope_precision": "out of scope: precision",
    "out_of_scope_false_accept": "out of scope: false accept",
    "out_of_scope_false_reject": "out of scope: false reject",
    "out_of_scope_in_scope_accuracy": "in scope: accuracy",
}
SPELLING_METRICS = (
    "word_perplexity",
    "word_and_line_perplexity",
    "bits_per_character",
    "bits_per_byte",
)
UNDERSTATED_NOTE = "too low, because the spelling of unknown words ([UNK]) is not predicted"
OMITTED_NOTE = "left out, because too many words are unknown ([UNK])"
LANGUAGE_MODEL_DESCRIPTIONS = {
    "loss": "mean -log p of a token, in nats",
    "perplexity": "exp(loss): per token; published ones for words compare with it only if the "
    "model reads the same words with the same vocabulary",
    "word_perplexity": "per word between white space; comparable between tokenizers",
    "word_and_line_perplexity": "the same with line ends as words, as papers count in WikiText and "
    "the Penn Treebank; published word perplexities compare with it",
    "bits_per_character": "loss per character; comparable between tokenizers",
    "bits_per_byte": "loss per UTF-8 byte; comparable between tokenizers",
    "unknown_share": "share of [UNK] among the tokens; its spelling is not predicted",
    "tokens": "number of predictions, one [END] per document included",
    "words": "separated by white space",
}
CLASSIFIER_DESCRIPTIONS = {
    "accuracy": "share of documents with the right answer",
    "macro_f1": "unweighted mean over labels of F1 = 2 × correct / (documents + answers)",
    "loss": "mean -log p of the right answer in nats, without the temperature",
    "calibration_error_before": "mean gap between confidence and accuracy without the temperature",
    "calibration_error": "mean gap between confidence and accuracy with the temperature, as served",
}

MULTI_LABEL_DESCRIPTIONS = {
    "micro_f1": "F1 = 2 × correct / (true + given) of all labels of all documents together",
    "macro_f1": "unweighted mean over labels of F1",
    "subset_accuracy": "share of documents with exactly the right labels",
    "loss": "mean -log p of all decisions about a document in nats, without the temperature",
}


def understated_metrics(metrics: Mapping[str, float]) -> list[str]:
    """Names of the metrics that unknown words make too low."""
    return [name for name in SPELLING_METRICS if name in metrics and metrics["unknown_share"] > 0]


def omitted_metrics(metrics: Mapping[str, float]) -> list[str]:
    """Names of the metrics that are left out of a language model's metrics."""
    return [name for name in SPELLING_METRICS if "unknown_share" in metrics and name not in metrics]


def format_name(name: str) -> str:
    """The display name of a metric.

    >>> format_name("bits_per_byte")
    'bits per byte'
    """
    return DISPLAY_NAMES.get(name, name.replace("_", " "))


def format_value(name: str, value: float) -> str:
    """The value of a metric with as many digits as its kind needs.

    >>> format_value("unknown_share", 0.0312)
    '3.12%'
    """
    if isinstance(value, int):
        return f"{value:,}"
    if name.endswith("_share"):
        return f"{value:.2%}"
    return format_perplexity(value) if "perplexity" in name else format_loss(value)


def format_perplexity(value: float) -> str:
    """Two decimals; with an exponent from ``LARGEST_DECIMAL`` on."""
    return f"{value:,.2f}" if value < LARGEST_DECIMAL else f"{value:.3e}"


def format_loss(value: float) -> str:
    """Four decimals; with an exponent from ``LARGEST_DECIMAL`` on."""
    return f"{value:.4f}" if abs(value) < LARGEST_DECIMAL else f"{value:.3e}"
