"""Names and number formats of metrics."""

import pytest

from training.evaluation.metric_names import (
    format_name,
    format_value,
    omitted_metrics,
    understated_metrics,
)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("documents", 12345, "12,345"),
        ("unknown_share", 0.0312, "3.12%"),
        ("word_perplexity", 1234.567, "1,234.57"),
        ("perplexity", 1e9, "1.000e+09"),
        ("loss", 1.23456, "1.2346"),
        ("loss", 3e7, "3.000e+07"),
    ],
)
def test_values_have_the_digits_of_their_kind(name: str, value: float, text: str) -> None:
    """Counts are integers, shares percentages; very large values have an exponent."""
    assert format_value(name, value) == text


def test_names_are_spelled_out() -> None:
    """Underscores become spaces, and some metrics have a name of their own."""
    assert format_name("bits_per_byte") == "bits per byte"
    assert format_name("macro_f1") == "macro F1"


def test_unknown_words_affect_the_metrics_of_spelling() -> None:
    """With few unknown words the metrics are too low; with many they are left out."""
    spelling = {"word_perplexity": 9.0, "word_and_line_perplexity": 8.0}
    spelling |= {"bits_per_character": 2.0, "bits_per_byte": 2.0}
    assert understated_metrics({**spelling, "unknown_share": 0.1}) == list(spelling)
    assert understated_metrics({**spelling, "unknown_share": 0.0}) == []
    assert omitted_metrics({"unknown_share": 0.5}) == list(spelling)
    assert omitted_metrics({"accuracy": 0.9}) == []
