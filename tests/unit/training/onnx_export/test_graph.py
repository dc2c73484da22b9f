"""ONNX graphs of every kind of network compute what torch computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from model.artifact import weights_of
from model.networks import LanguageModel
from model.storage.weights import language_model_weights
from tests.support.service.reference import random_network

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

NETWORKS: dict[str, dict[str, Any]] = {
    "elman": {"cell": "elman", "layers": 2},
    "gru": {"cell": "gru", "layers": 2},
    "lstm": {"cell": "lstm", "layers": 3},
    "projection": {"cell": "lstm", "layers": 1, "projection": 7},
    "tied": {"cell": "gru", "layers": 1, "projection": 12, "tied": True},
    "adaptive": {"cell": "lstm", "layers": 1, "cutoffs": (5, 6, 20), "division": 2},
    "adaptive-wide": {"cell": "lstm", "layers": 1, "cutoffs": (5, 20), "division": 1},
    "adaptive-tied": {
        "cell": "lstm",
        "layers": 1,
        "projection": 12,
        "tied": True,
        "cutoffs": (5, 20),
        "division": 4,
    },
    "adaptive-wide-tied": {
        "cell": "elman",
        "layers": 1,
        "projection": 12,
        "tied": True,
        "cutoffs": (5,),
        "division": 1,
    },
}


def session_of(network: LanguageModel) -> Any:
    """The graph of a network in ONNX Runtime."""
    from training.onnx_export.graph import language_model_graph

    graph = language_model_graph(language_model_weights(weights_of(network)))
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_steps_equal_those_of_torch(options: dict[str, Any]) -> None:
    """Logits and states of a prompt of 4 tokens and of single steps after it, in batches of 3."""
    network = random_network(**options)
    network.requires_grad_(False)
    session = session_of(network)
    state = network.initial_state(3)
    generator = torch.Generator().manual_seed(1)
    for steps in (4, 1, 1):
        tokens_TB = torch.randint(0, 30, (steps, 3), generator=generator)
        given = {"input_ids": tokens_TB.T.numpy(), "hidden": state.hidden_LBH.numpy()}
        if state.cell_LBH is not None:
            given["cell"] = state.cell_LBH.numpy()
        logits_BTV, *states = session.run(None, given)
        expected_TBV, state = network(tokens_TB, state)
        np.testing.assert_allclose(
            logits_BTV, expected_TBV.transpose(0, 1), rtol=1e-4, atol=1e-5, strict=True
        )
        kept = [state.hidden_LBH] if state.cell_LBH is None else [state.hidden_LBH, state.cell_LBH]
        for actual, expected in zip(states, kept, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5, strict=True)


def test_names_of_inputs_and_outputs() -> None:
    """They are those of the guide; the batch and the sequence have any size."""
    session = session_of(random_network("lstm", 2))
    assert {value.name: value.shape for value in session.get_inputs()} == {
        "input_ids": ["batch", "sequence"],
        "hidden": [2, "batch", 20],
        "cell": [2, "batch", 20],
    }
    assert {value.name: value.shape for value in session.get_outputs()} == {
        "logits": ["batch", "sequence", 30],
        "next_hidden": [2, "batch", 20],
        "next_cell": [2, "batch", 20],
    }
