"""The field `logit_bias`, in the form of the OpenAI protocol: {"token id": number}."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainValidator

MOST_BIASES = 300
LARGEST_BIAS = 100
_LONGEST_ID = 10  # digits


def _biases(value: object) -> tuple[tuple[int, float], ...]:
    """Pairs of an id and a number, from an object whose keys are ids."""
    if not isinstance(value, dict):
        raise ValueError('expected an object of token ids and numbers, like {"17": -100}')
    if len(value) > MOST_BIASES:
        raise ValueError(f"expected at most {MOST_BIASES} tokens, got {len(value)}")
    return tuple(_bias(key, number) for key, number in value.items())


def _bias(key: str, number: object) -> tuple[int, float]:
    if not (key.isascii() and key.isdecimal() and key == str(int(key[:_LONGEST_ID]))):
        raise ValueError(f"expected token ids as keys, got {key[:20]!r}")
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if not is_number or not -LARGEST_BIAS <= number <= LARGEST_BIAS:  # type: ignore[operator]
        raise ValueError(f"expected numbers from -{LARGEST_BIAS} to {LARGEST_BIAS}")
    return int(key), float(number)  # type: ignore[arg-type]


LogitBias = Annotated[
    tuple[tuple[int, float], ...],
    PlainValidator(_biases, json_schema_input_type=dict[str, float]),
]
