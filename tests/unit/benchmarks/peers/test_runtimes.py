"""Other runtimes compute what the network computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.harness.untrained_artifact import untrained_network
from benchmarks.peers.network import PlainNetwork, plain_from
from benchmarks.peers.runtimes import (
    RuntimeStepper,
    export,
    onnxruntime_int8,
    openvino_float32,
    sample,
    torch_int8,
)
from model.architecture import LanguageModelArchitecture

ARCHITECTURE = LanguageModelArchitecture(
    cell="lstm", vocabulary=50, embedding=16, hidden=16, layers=2
)
TOLERANCE = 0.02  # of the largest logit: int8


@pytest.fixture(scope="module")
def plain() -> PlainNetwork:
    """A small untrained network."""
    return plain_from(untrained_network(ARCHITECTURE))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "torch"])
def test_a_step_has_the_logits_and_state_of_the_network(
    plain: PlainNetwork, tmp_path: Path, runtime: str
) -> None:
    """Three rows from a zero state; the second step continues from the state of the first."""
    pytest.importorskip(runtime)
    if runtime != "torch":
        pytest.importorskip("onnx")
        file = export(plain, tmp_path)
        step = (onnxruntime_int8 if runtime == "onnxruntime" else openvino_float32)(file, 1)
        zeros: Any = np.zeros((2, 3, 16), np.float32)
    else:
        step, zeros = torch_int8(plain, 1), torch.zeros(2, 3, 16)
    tokens_B = np.array([1, 2, 3])
    _, *state = step(tokens_B, zeros, zeros)
    logits_BV = np.asarray(step(tokens_B, *state)[0])
    expected_TBV, _ = plain(torch.tensor([[1, 2, 3], [1, 2, 3]]))
    largest = float(expected_TBV.abs().max())
    assert np.abs(logits_BV - expected_TBV[1].numpy()).max() < TOLERANCE * largest


def test_tokens_are_drawn_by_their_probability() -> None:
    """Of 4,000 draws, three tokens have about 0.6, 0.3 and 0.1; an impossible one has none."""
    logits_V = np.log(np.array([0.6, 0.3, 1e-30, 0.1], np.float32))
    tokens = sample(np.tile(logits_V, (4000, 1)), np.random.default_rng(1))
    shares = np.bincount(tokens, minlength=4) / 4000
    assert np.allclose(shares, [0.6, 0.3, 0.0, 0.1], atol=0.03)


def test_only_a_sampler_changes_the_tokens() -> None:
    """Without a sampler every step reads the same tokens."""
    read: list[list[int]] = []

    def step(tokens_B: np.ndarray, hidden: int, cell: int) -> tuple[np.ndarray, int, int]:
        read.append(tokens_B.tolist())
        logits_BV = np.full((2, 9), -100.0, np.float32)
        logits_BV[:, 8] = 0.0
        return logits_BV, hidden, cell

    for samples in (True, False):
        stepper = RuntimeStepper(step, (0, 0), 2, samples=samples)
        assert [stepper.burst(), stepper.burst()] == [1, 1]
    assert read == [[0, 1], [8, 8], [0, 1], [0, 1]]
