"""The losses equal those of torch, full and sampled, in values and gradients."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.architecture import LanguageModelArchitecture
from model.networks import EncoderOutput, LanguageModel
from model.state import State
from training.optimization.losses import (
    ActivationPenalties,
    CandidateSampler,
    cross_entropy,
    next_token_loss,
)


def problem(rows: int = 600, words: int = 50) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, weights, biases (which require gradients) and targets."""
    generator = torch.Generator().manual_seed(3)
    hidden_NH = torch.randn(rows, 8, generator=generator)
    weight_VH = torch.randn(words, 8, generator=generator)
    bias_V = torch.randn(words, generator=generator)
    targets_N = torch.randint(words, (rows,), generator=generator)
    for tensor in (hidden_NH, weight_VH, bias_V):
        tensor.requires_grad_()
    return hidden_NH, weight_VH, bias_V, targets_N


def test_value_and_gradients_are_those_of_torch() -> None:
    """The loss equals torch's over several blocks of rows, the last one not full."""
    for scale in (1.0, 3.0):
        hidden_NH, weight_VH, bias_V, targets_N = problem()
        inputs = (hidden_NH, weight_VH, bias_V)
        own = cross_entropy(hidden_NH, weight_VH, bias_V, targets_N) * scale
        gradients = torch.autograd.grad(own, inputs)
        logits_NV = functional.linear(hidden_NH, weight_VH, bias_V)
        expected = functional.cross_entropy(logits_NV, targets_N) * scale
        assert own.item() == pytest.approx(expected.item(), rel=1e-5)
        for gradient, other in zip(gradients, torch.autograd.grad(expected, inputs), strict=True):
            torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-6)


def test_offsets_move_all_logits_but_the_targets_own() -> None:
    """An offset is added to every logit but the target's own."""
    hidden_NH, weight_VH, bias_V, targets_N = problem(rows=20)
    offset_V = torch.linspace(0, 2, 50)
    logits_NV = functional.linear(hidden_NH, weight_VH, bias_V) + offset_V
    own = torch.arange(20)
    logits_NV = logits_NV.index_put((own, targets_N), -offset_V[targets_N], accumulate=True)
    expected = functional.cross_entropy(logits_NV, targets_N)
    loss = cross_entropy(hidden_NH, weight_VH, bias_V, targets_N, offset_V)
    torch.testing.assert_close(loss, expected)


def test_bfloat16_products_come_near() -> None:
    """In bfloat16 the loss has eight bits of mantissa; the gradient keeps its direction."""
    hidden_NH, weight_VH, bias_V, targets_N = problem()
    exact = cross_entropy(hidden_NH, weight_VH, bias_V, targets_N)
    half_NH = hidden_NH.detach().to(torch.bfloat16).requires_grad_()
    rough = cross_entropy(half_NH, weight_VH, bias_V, targets_N)
    assert rough.item() == pytest.approx(exact.item(), rel=5e-3)
    gradient = torch.autograd.grad(exact, weight_VH)[0].flatten()
    other = torch.autograd.grad(rough, weight_VH)[0].flatten()
    assert float(functional.cosine_similarity(gradient, other, dim=0)) > 0.999


def network(
    cutoffs: tuple[int, ...] = (), division: int | None = None
) -> tuple[LanguageModel, EncoderOutput, Tensor]:
    """A small untrained model with a projection, its hidden states, and targets."""
    torch.manual_seed(0)
    model = LanguageModel(
        LanguageModelArchitecture(
            cell="gru",
            vocabulary=300,
            embedding=6,
            hidden=10,
            layers=1,
            projection=6,
            tied=True,
            cutoffs=cutoffs,
            division=division,
        )
    )
    tokens_TB = torch.randint(300, (9, 4))
    return model, model.encode(tokens_TB, model.initial_state(4)), torch.randint(300, (9, 4))


@pytest.mark.parametrize(
    ("cutoffs", "division"), [((), None), ((20, 150), 2), ((20, 150), 1), ((200, 298), 4)]
)
def test_the_loss_of_a_network_is_that_of_its_logits(
    cutoffs: tuple[int, ...], division: int | None
) -> None:
    """Value and gradients equal torch's with projection, tied weights and tails without targets."""
    model, encoded, targets_TB = network(cutoffs, division)
    targets_TB[0] = 299  # [END] stands in the head of an adaptive softmax
    logits_TBV = model.logits(encoded.dropped_TBH)
    expected = functional.cross_entropy(logits_TBV.flatten(0, 1), targets_TB.flatten())
    loss = next_token_loss(model, encoded, targets_TB)
    torch.testing.assert_close(loss, expected)
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
    for gradient, other in zip(gradients, torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-6)


def test_an_adaptive_softmax_comes_near_in_bfloat16() -> None:
    """In bfloat16 the loss is within eight bits of mantissa; every parameter gets a gradient."""
    model, encoded, targets_TB = network((20, 150), 2)
    exact = next_token_loss(model, encoded, targets_TB)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = next_token_loss(
            model, encoded._replace(dropped_TBH=encoded.dropped_TBH.bfloat16()), targets_TB
        )
    rough.backward()
    assert rough.item() == pytest.approx(exact.item(), rel=5e-3)
    assert all(parameter.grad is not None for parameter in model.output.parameters())


def test_a_sample_of_everything_is_the_full_softmax() -> None:
    """With all words as candidates the sampled softmax equals the full one."""
    model, encoded, targets_TB = network()
    sampler = CandidateSampler(torch.ones(300), frequent=300, drawn=1)
    loss = next_token_loss(model, encoded, targets_TB, sampler)
    torch.testing.assert_close(loss, next_token_loss(model, encoded, targets_TB))


def test_the_sampled_normalizer_is_right_on_average() -> None:
    """The mean over many draws of the estimated sum of exponentials is near the exact sum.

    Targets come from the distribution that the sampler knows, as they do in training.
    """
    counts_V = 1000.0 / torch.arange(1, 301)
    sampler = CandidateSampler(counts_V, frequent=20, drawn=60)
    scores_V = torch.linspace(2, -2, 300)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    estimates = []
    for _ in range(2000):
        targets_N = torch.multinomial(counts_V, 16, replacement=True, generator=generator)
        ids_C, log_chances_C = sampler.draw(targets_N)
        assert set(targets_N.tolist()) <= set(ids_C.tolist())
        estimates.append((scores_V[ids_C] - log_chances_C).exp().sum())
    exact = float(scores_V.exp().sum())
    assert float(torch.stack(estimates).mean()) == pytest.approx(exact, rel=0.01)


def test_a_sample_is_smaller_than_the_vocabulary() -> None:
    """The number of drawn candidates is about the requested one."""
    counts_V = 1e6 / torch.arange(1, 20_001)
    sampler = CandidateSampler(counts_V, frequent=500, drawn=500)
    sizes = [len(sampler.draw(torch.arange(10))[0]) for _ in range(20)]
    assert 900 < sum(sizes) / 20 < 1100


def test_penalties_follow_their_formulas() -> None:
    """The penalties are mean squares of dropped states and of changes of raw states."""
    dropped_TBH, raw_TBH = torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    encoded = EncoderOutput(dropped_TBH, raw_TBH, State(torch.zeros(1, 2, 3)))
    penalty = ActivationPenalties(activation=2.0, temporal=3.0)(encoded)
    change = (raw_TBH[1:] - raw_TBH[:-1]).square().mean()
    torch.testing.assert_close(penalty, 2 * dropped_TBH.square().mean() + 3 * change)
    single = EncoderOutput(dropped_TBH[:1], raw_TBH[:1], encoded.state)
    assert torch.isfinite(ActivationPenalties(temporal=1.0)(single))
