"""The engine's bounds on tasks: no value within them can harm sequences in the same step.

The HTTP schemas refuse more, with limits of their own. These bounds also hold for callers in the
same process.
"""

from __future__ import annotations

from service.engine.api.errors import InvalidTask
from service.engine.api.tasks import Embed, Generate, NextWord, Score
from service.kernel.api.interface import Sampling

SAMPLING_BOUNDS: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 1e4),
    "top_k": (0, 2**31 - 1),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.01, 100.0),
    "presence_penalty": (-100.0, 100.0),
    "frequency_penalty": (-100.0, 100.0),
    "seed": (0, 2**64 - 1),
}
MOST_BIASES = 300
LARGEST_BIAS = 100.0


def check_generate(task: Generate, rows: int, most_choices: int) -> None:
    """Raises InvalidTask with the first field that is out of range; n is at most ``rows``, the
    choices of all prompts are at most ``most_choices``.
    """
    if not 1 <= task.n <= rows:
        raise InvalidTask("n", f"expected 1 to {rows}, got {task.n}")
    choices = task.n * (1 + len(task.more_prompts))
    if choices > most_choices:
        raise InvalidTask(
            "prompt", f"expected at most {most_choices} choices in all, got {choices}"
        )
    if task.more_prompts and (task.state is not None or task.return_state):
        raise InvalidTask("prompt", "expected one prompt with a state")
    if task.max_tokens < 0:
        raise InvalidTask("max_tokens", f"expected 0 or more, got {task.max_tokens}")
    if "" in task.stop:
        raise InvalidTask("stop", "a stop string must not be empty")
    check_sampling(task.sampling)
    if task.logprobs is not None and task.logprobs < 0:
        raise InvalidTask("logprobs", f"expected 0 or more, got {task.logprobs}")
    if task.end and task.logprobs is None:
        raise InvalidTask("end", "needs logprobs")
    if task.return_state and (task.n > 1 or task.max_tokens == 0):
        raise InvalidTask("return_state", "expected n of 1 and max_tokens of 1 or more")


def check_sampling(sampling: Sampling) -> None:
    """Raises InvalidTask with the first field that is out of range or not a number."""
    for field, (lowest, highest) in SAMPLING_BOUNDS.items():
        value = getattr(sampling, field)
        if not lowest <= value <= highest:
            raise InvalidTask(field, f"expected {lowest} to {highest}, got {value}")
    if len(sampling.logit_bias) > MOST_BIASES:
        count = len(sampling.logit_bias)
        raise InvalidTask("logit_bias", f"expected at most {MOST_BIASES} tokens, got {count}")
    if len({token for token, _ in sampling.logit_bias}) < len(sampling.logit_bias):
        raise InvalidTask("logit_bias", "expected each token once")
    if not all(abs(bias) <= LARGEST_BIAS for _, bias in sampling.logit_bias):
        raise InvalidTask("logit_bias", f"expected -{LARGEST_BIAS:g} to {LARGEST_BIAS:g}")


def check_bias_ids(sampling: Sampling, vocabulary: int) -> None:
    """Raises InvalidTask for ids that the model does not have."""
    for token, _ in sampling.logit_bias:
        if not 0 <= token < vocabulary:
            raise InvalidTask(
                "logit_bias", f"expected token ids from 0 to {vocabulary - 1}, got {token}"
            )


def check_texts(task: Score | Embed, most_texts: int) -> None:
    """Raises InvalidTask unless there are 1 to ``most_texts`` texts."""
    if not 1 <= len(task.texts) <= most_texts:
        raise InvalidTask("texts", f"expected 1 to {most_texts} texts, got {len(task.texts)}")


def check_next_word(task: NextWord) -> None:
    """Raises InvalidTask unless ``top`` is at least 1."""
    if task.top < 1:
        raise InvalidTask("top", f"expected 1 or more, got {task.top}")
