"""The output layers: the adaptive softmax against that of torch, tied weights, and errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model.architecture import LanguageModelArchitecture
from model.errors import ArchitectureError
from model.networks import LanguageModel
from model.output_layer import AdaptiveOutput, build_output

VOCABULARY, WIDTH = 40, 16
SHAPES = [
    pytest.param((7,), 4, id="one tail"),
    pytest.param((7, 20), 2, id="two tails"),
    pytest.param((1, 2, 38), 2, id="tails of one word"),
    pytest.param((7, 20), 1, id="tails as wide as the head"),
]


def architecture(**more: Any) -> LanguageModelArchitecture:
    """A small architecture with a projection."""
    shape: dict[str, Any] = {"embedding": WIDTH, "hidden": 12, "layers": 1, "projection": WIDTH}
    return LanguageModelArchitecture(cell="gru", vocabulary=VOCABULARY, **(shape | more))


def output(cutoffs: tuple[int, ...], division: int) -> AdaptiveOutput:
    """An adaptive output in float64 with large weights."""
    torch.manual_seed(0)
    layer = build_output(architecture(cutoffs=cutoffs, division=division)).double()
    assert isinstance(layer, AdaptiveOutput)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def torch_equivalent(own: AdaptiveOutput, cutoffs: tuple[int, ...], division: int) -> nn.Module:
    """torch.nn.AdaptiveLogSoftmaxWithLoss with the same weights; it has no biases in its tails.

    Its classes are our words below the first cutoff, [END], and the other words.
    """
    twin = nn.AdaptiveLogSoftmaxWithLoss(
        WIDTH,
        VOCABULARY,
        [cut + 1 for cut in cutoffs],
        div_value=float(division),
        head_bias=True,
    ).double()
    parts = own.parts()
    with torch.no_grad():
        twin.head.weight.copy_(parts.weight_JH)
        twin.head.bias.copy_(parts.bias_J)
        for tail, other in zip(parts.tails, twin.tail, strict=True):
            tail.bias_K.zero_()
            narrow, words = other.parameters()
            narrow.copy_(torch.eye(WIDTH) if tail.narrow_DH is None else tail.narrow_DH)
            words.copy_(tail.weight_KD)
    return twin


def classes(cutoffs: tuple[int, ...]) -> Tensor:
    """The token ids in the order of torch's classes."""
    return torch.tensor([*range(cutoffs[0]), VOCABULARY - 1, *range(cutoffs[0], VOCABULARY - 1)])


@pytest.mark.parametrize(("cutoffs", "division"), SHAPES)
def test_log_probabilities_are_those_of_torch(cutoffs: tuple[int, ...], division: int) -> None:
    """Log-probabilities of all and of single tokens equal those of torch in float64."""
    own = output(cutoffs, division)
    twin = torch_equivalent(own, cutoffs, division)
    hidden_NH = torch.randn(30, WIDTH, dtype=torch.float64)
    found_NV = own(hidden_NH)
    expected_NV = twin.log_prob(hidden_NH)  # type: ignore[operator]
    torch.testing.assert_close(found_NV[:, classes(cutoffs)], expected_NV)
    tokens_N = torch.randint(VOCABULARY, (30,))
    tokens_N[:2] = torch.tensor([VOCABULARY - 1, cutoffs[0]])
    torch.testing.assert_close(
        own.parts().log_probability(hidden_NH, tokens_N),
        found_NV.gather(1, tokens_N.unsqueeze(1)).squeeze(1),
    )


@pytest.mark.parametrize(("cutoffs", "division"), SHAPES)
def test_probabilities_sum_to_one_also_in_bfloat16(cutoffs: tuple[int, ...], division: int) -> None:
    """Probabilities sum to 1 in bfloat16, where those of torch's module do not."""
    own = output(cutoffs, division).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found_NV = own(torch.randn(5, WIDTH))
    assert found_NV.dtype == torch.float32
    torch.testing.assert_close(found_NV.exp().sum(1), torch.ones(5), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("cutoffs", "division"), [((), None), ((7, 20), 2), ((7, 20), 1)])
def test_biases_can_be_initialized_from_frequencies(
    cutoffs: tuple[int, ...], division: int | None
) -> None:
    """With an input of zeros each word of head and tails has its frequency as probability."""
    own = build_output(architecture(cutoffs=cutoffs, division=division))
    shares_V = torch.rand(VOCABULARY).softmax(0)
    own.init_bias_from_frequencies(shares_V)
    found_1V = own(torch.zeros(1, WIDTH)).log_softmax(1)
    torch.testing.assert_close(found_1V.exp()[0], shares_V)


@pytest.mark.parametrize("division", [1, 4])
def test_tied_weights_are_the_embeddings(division: int) -> None:
    """Words of the head and of equally wide tails share the embedding's weights."""
    network = LanguageModel(architecture(cutoffs=(7, 20), division=division, tied=True))
    network.requires_grad_(True)
    hidden_NH = torch.randn(4, WIDTH)
    network.output(hidden_NH).sum().backward()
    embedding = network.embedding.weight
    assert network.output.weight is embedding
    assert embedding.grad is not None
    learns = embedding.grad.abs().sum(1) > 0
    in_head = torch.arange(VOCABULARY) < 7
    in_head[-1] = True
    assert torch.equal(learns, in_head | (division == 1))
    names = [name for name, _ in network.named_parameters() if "tails" in name]
    assert len(names) == (0 if division == 1 else 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cutoffs": (5,)}, "division: requires cutoffs"),
        ({"division": 4}, "division: requires cutoffs"),
        ({"cutoffs": (5,), "division": 0}, "division: expected a whole number"),
        ({"cutoffs": (5,), "division": True}, "division: expected a whole number"),
        ({"cutoffs": (0, 5), "division": 4}, "cutoffs: expected rising numbers from 1 to 38"),
        ({"cutoffs": (5, 5), "division": 4}, "cutoffs: expected rising numbers"),
        ({"cutoffs": (39,), "division": 4}, "cutoffs: expected rising numbers from 1 to 38"),
        ({"cutoffs": (5.0,), "division": 4}, "cutoffs: expected a list of whole numbers"),
        ({"cutoffs": 5, "division": 4}, "cutoffs: expected a list of whole numbers"),
        ({"cutoffs": tuple(range(1, 18)), "division": 4}, "cutoffs: expected at most 16"),
    ],
)
def test_invalid_cutoffs_are_refused(fields: dict[str, Any], message: str) -> None:
    """The message names the field and the expected value."""
    with pytest.raises(ArchitectureError, match=message):
        architecture(**fields)
