"""A self-test of a kernel: a few tokens or one document, compared with the network in NumPy.

It finds a kernel that computes something else than the network: a wrong instruction set, damaged
memory, weights that int8 cannot hold. It also touches the memory that the first request needs.
"""

from __future__ import annotations

import numpy as np

from model.architecture import ClassifierArchitecture, LanguageModelArchitecture
from model.storage.weights import Weights
from service.kernel.api.interface import (
    GREEDY,
    ClassifierKernel,
    FloatArray,
    Kernel,
    RowWork,
    Scored,
)
from service.kernel.numpy_network import label_logits, log_probabilities_of

TOKENS = 16
DOCUMENT_TOKENS = 12
# Tolerances: float32, int8. The largest int8 differences of trained and random networks were 0.1
# (mean log-probability) and 0.004 (probability); a wrong kernel is off by several units.
LOGPROB_TOLERANCE = {True: 0.01, False: 0.5}
RELATIVE_TOLERANCE = {True: 0.001, False: 0.2}
PROBABILITY_TOLERANCE = {True: 0.01, False: 0.25}


class SelfTestError(Exception):
    """The kernel's results differ from those of the network; the message contains both."""


def check_language_model(
    kernel: Kernel, weights: Weights[LanguageModelArchitecture], end: int, *, exact: bool
) -> None:
    """Generate up to TOKENS tokens greedily in row 0 and compare their log-probabilities.

    ``exact``: the kernel computes in float32. Raises SelfTestError.
    """
    generated = _generate(kernel, end)
    tokens = [scored.token for scored in generated]
    expected = log_probabilities_of(weights, [end, *tokens[:-1]], tokens)
    computed = np.array([scored.logprob for scored in generated])
    difference = float(np.abs(computed - expected).mean())
    tolerance = LOGPROB_TOLERANCE[exact] + RELATIVE_TOLERANCE[exact] * np.abs(expected).mean()
    if not difference <= tolerance:  # also if it is not a number
        raise SelfTestError(
            f"self-test: log-probabilities of {len(tokens)} tokens differ from the network's by "
            f"{difference:.3g} in the mean, expected at most {tolerance:.3g}"
        )


def check_classifier(
    kernel: ClassifierKernel,
    weights: Weights[ClassifierArchitecture],
    *,
    exact: bool,
    multi_label: bool = False,
) -> None:
    """Classify one document and compare the probabilities.

    ``exact``: the kernel computes in float32. ``multi_label``: each label has a probability of its
    own. Raises SelfTestError.
    """
    probabilities_of = _sigmoid if multi_label else _softmax
    vocabulary = weights.architecture.vocabulary
    tokens = [index % vocabulary for index in range(1, DOCUMENT_TOKENS + 1)]
    slices = kernel.classify([tokens])
    while True:
        try:
            next(slices)
        except StopIteration as finished:
            computed_C = probabilities_of(finished.value[0])
            break
    expected_C = probabilities_of(label_logits(weights, tokens))
    difference = float(np.abs(computed_C - expected_C).max())
    if not difference <= PROBABILITY_TOLERANCE[exact]:
        raise SelfTestError(
            f"self-test: the probability of a label differs from that of the network by "
            f"{difference:.3g}, expected at most {PROBABILITY_TOLERANCE[exact]}"
        )


def _softmax(logits_C: FloatArray) -> FloatArray:
    exponentials_C = np.exp(logits_C - logits_C.max())
    return np.asarray(exponentials_C / exponentials_C.sum())


def _sigmoid(logits_C: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits_C)))


def _generate(kernel: Kernel, end: int) -> list[Scored]:
    kernel.open(0)
    generated: list[Scored] = []
    feed = [end]
    while len(generated) < TOKENS and not (generated and feed == [end]):
        left = TOKENS - len(generated)
        work = RowWork(row=0, feed=feed, sample=left, sampling=GREEDY, position=len(generated))
        (result,) = kernel.run([work], left)
        if result.failed:
            raise SelfTestError("self-test: the logits are not finite numbers")
        generated += result.generated
        feed = [generated[-1].token]
    return generated
