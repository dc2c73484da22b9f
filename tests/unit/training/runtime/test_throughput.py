"""The measurement of the training throughput."""

import time

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from training.runtime.throughput import TIMED_STEPS, training_speed


def test_a_plain_loop_finds_a_like_speed() -> None:
    """The throughput is within an order of magnitude of matrix products."""
    speed = training_speed("float32", 60.0)
    left, right = torch.randn(512, 512), torch.randn(512, 512)
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        _ = left @ right
        seconds.append(time.perf_counter() - began)
    assert 0.02 < speed / (2 * 512**3 / min(seconds)) < 5


@pytest.mark.parametrize(("patience", "steps"), [(0.0, 2), (600.0, TIMED_STEPS + 1)])
def test_it_is_over_soon_and_leaves_no_trace(patience: float, steps: int) -> None:
    """Without patience two steps are taken instead of six; the random state is left as it was."""
    state = torch.get_rng_state()
    taken = list[str]()
    hook = register_module_forward_hook(lambda module, *_: taken.append(type(module).__name__))
    training_speed("float32", patience)
    hook.remove()
    assert taken.count("LSTM") == steps
    assert torch.equal(torch.get_rng_state(), state)
