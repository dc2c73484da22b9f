"""The losses: cross-entropy of the next token or of the label, and penalties on hidden states.

The softmax over a large vocabulary is most of the work of a word model. Its products are computed
in the precision of the hidden states and its exponentials in float32, LOGIT_ROWS rows at a time,
and the gradient of the logits is written in the place of the logits.

A sampled softmax (Bengio and Senecal, 2008; Jean et al., 2015) estimates the normalizer of a large
vocabulary from the most frequent words, the words of the window and words drawn from the rest, each
weighted by the inverse of its probability of being drawn. Only training uses it: the network has a
full softmax. Of an adaptive softmax only the head and the tails of the targets are computed.

Shape suffixes: N tokens, H hidden, V vocabulary, C candidates, R rows of a tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from model.networks import EncoderOutput, LanguageModel
from model.output_layer import Parts
from training.data.examples import OUT_OF_SCOPE_INDEX

LOGIT_ROWS = 256  # rows of logits that are computed at a time
GRAIN = 512  # numbers of candidates are multiples of it
ROW_GRAIN = 64  # numbers of rows of a tail of an adaptive softmax are multiples of it


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationPenalties:
    """Penalties on large and on fast-changing hidden states (Merity et al., 2018), as weights."""

    activation: float = 0.0
    temporal: float = 0.0

    def __call__(self, encoded: EncoderOutput) -> Tensor:
        """``activation`` mean(h^2) with dropout plus ``temporal`` mean((h_t+1 - h_t)^2) without."""
        penalty = self.activation * encoded.dropped_TBH.float().square().mean()
        if self.temporal and len(encoded.raw_TBH) > 1:
            raw_TBH = encoded.raw_TBH.float()
            penalty = penalty + self.temporal * (raw_TBH[1:] - raw_TBH[:-1]).square().mean()
        return penalty


class CandidateSampler:
    """Draws the candidates of a sampled softmax.

    Args:
        counts_V: the count of each token in the training data.
        frequent: how many of the most frequent tokens are always candidates.
        drawn: about how many of the others are drawn for each window.
    """

    def __init__(self, counts_V: Tensor, *, frequent: int, drawn: int) -> None:
        shares_V = counts_V.double() / counts_V.sum()
        order_V = counts_V.argsort(descending=True, stable=True)
        self._always_V = torch.zeros(len(counts_V), dtype=torch.bool)
        self._always_V[order_V[:frequent]] = True
        # Poisson sampling: each rarer word is drawn independently, the more frequent the likelier.
        chances_V = (shares_V + shares_V[~self._always_V].mean()) * ~self._always_V
        self._chances_V = (drawn * chances_V / chances_V.sum()).clamp(max=1.0)
        self._shares_V = shares_V

    def draw(self, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        """Candidate ids (C), which include all targets, and the log-probability of each one."""
        chosen_V = torch.rand(len(self._chances_V), dtype=torch.float64) < self._chances_V
        chosen_V |= self._always_V
        chosen_V[targets_N] = True
        ids_C = chosen_V.nonzero().flatten()
        absent_C = (1 - self._chances_V[ids_C]) * (1 - self._shares_V[ids_C]) ** len(targets_N)
        chances_C = torch.where(self._always_V[ids_C], 1.0, 1 - absent_C)
        return ids_C, chances_C.log().float()


def _padded(ids_C: Tensor, log_chances_C: Tensor) -> tuple[Tensor, Tensor]:
    """Candidates padded to a multiple of GRAIN with ones of weight 0.

    The libraries cache something for every shape of a product, so there must be few shapes.
    """
    missing = -len(ids_C) % GRAIN
    return (
        functional.pad(ids_C, (0, missing)),
        functional.pad(log_chances_C, (0, missing), value=torch.inf),
    )


def next_token_loss(
    network: LanguageModel,
    encoded: EncoderOutput,
    targets_TB: Tensor,
    sampler: CandidateSampler | None = None,
) -> Tensor:
    """The mean negative log-likelihood in nats; with a sampler, an estimate of it."""
    hidden_NH = network.projected(encoded.dropped_TBH).flatten(0, 1)
    targets_N = targets_TB.flatten()
    parts = network.output.parts()
    if sampler is None:
        return _loss_of_parts(parts, hidden_NH, targets_N)
    ids_C, log_chances_C = sampler.draw(targets_N)
    places_N = torch.searchsorted(ids_C, targets_N)
    ids_C, log_chances_C = _padded(ids_C, log_chances_C)
    weight_CH, bias_C = parts.weight_JH[ids_C], parts.bias_J[ids_C]
    return cross_entropy(hidden_NH, weight_CH, bias_C, places_N, offset_V=-log_chances_C)


def _loss_of_parts(parts: Parts, hidden_NH: Tensor, targets_N: Tensor) -> Tensor:
    """The loss of a softmax that may have tails.

    The head predicts every target or its tail; a tail predicts its own targets. The rows of a tail
    are padded with rows that do not count, so that there are few shapes.
    """
    entries_N = parts.entries(targets_N)
    loss = cross_entropy(hidden_NH, parts.weight_JH, parts.bias_J, entries_N)
    for tail in parts.tails:
        rows_R = ((targets_N >= tail.begin) & (targets_N < tail.end)).nonzero().flatten()
        counted = len(rows_R)
        rows_R = functional.pad(rows_R, (0, -counted % ROW_GRAIN or ROW_GRAIN * (counted == 0)))
        inside_R = (targets_N[rows_R] - tail.begin).clamp(0, tail.end - tail.begin - 1)
        read_RD = tail.narrowed(hidden_NH[rows_R])
        total = _summed_loss(read_RD, tail.weight_KD, tail.bias_K, inside_R, counted=counted)
        loss = loss + total / len(targets_N)
    return loss


def cross_entropy(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    targets_N: Tensor,
    offset_V: Tensor | None = None,
) -> Tensor:
    """The mean of -log softmax(hidden weight^T + bias)[target], without keeping the logits.

    ``offset_V`` is added to every logit but the target's own (log-weights of sampled candidates).
    """
    count = len(targets_N)
    return _summed_loss(hidden_NH, weight_VH, bias_V, targets_N, offset_V, counted=count) / count


def _summed_loss(
    hidden_NH: Tensor,
    weight_VH: Tensor,
    bias_V: Tensor,
    targets_N: Tensor,
    offset_V: Tensor | None = None,
    *,
    counted: int,
) -> Tensor:
    """The sum over the first ``counted`` rows."""
    loss: Tensor = _CrossEntropy.apply(hidden_NH, weight_VH, bias_V, targets_N, offset_V, counted)  # type: ignore[no-untyped-call]
    return loss


class _CrossEntropy(torch.autograd.Function):
    """Computes the gradient of the logits in the forward pass, while they are in the CPU cache."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: Tensor,
        weight_VH: Tensor,
        bias_V: Tensor,
        targets_N: Tensor,
        offset_V: Tensor | None,
        counted: int,
    ) -> Tensor:
        kind = hidden_NH.dtype
        weight_VH, total_V = weight_VH.to(kind), bias_V if offset_V is None else bias_V + offset_V
        gradient_NV = torch.empty(len(targets_N), len(weight_VH), dtype=kind)
        losses = []
        for begin in range(0, len(targets_N), LOGIT_ROWS):
            rows = slice(begin, begin + LOGIT_ROWS)
            targets_R1 = targets_N[rows].unsqueeze(1)
            block_RV = torch.mm(hidden_NH[rows], weight_VH.t()).float().add_(total_V)
            if offset_V is not None:
                block_RV.scatter_add_(1, targets_R1, -offset_V[targets_R1])
            largest_R1 = block_RV.amax(1, keepdim=True)
            target_R1 = block_RV.gather(1, targets_R1).sub_(largest_R1)
            block_RV.sub_(largest_R1).exp_()
            total_R1 = block_RV.sum(1, keepdim=True)
            losses_R1 = total_R1.log() - target_R1
            losses.append(losses_R1[: max(0, counted - begin)].sum())
            block_RV.div_(total_R1)
            block_RV.scatter_add_(1, targets_R1, block_RV.new_full(targets_R1.shape, -1.0))
            gradient_NV[rows] = block_RV
        gradient_NV[counted:] = 0.0
        ctx.save_for_backward(hidden_NH, weight_VH, gradient_NV)
        return torch.stack(losses).sum()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden_NH, weight_VH, gradient_NV = ctx.saved_tensors
        hidden_gradient_NH = torch.mm(gradient_NV, weight_VH).mul_(upstream)
        weight_gradient_VH = torch.mm(gradient_NV.t(), hidden_NH).float().mul_(upstream)
        ones_1N = gradient_NV.new_ones(1, len(gradient_NV))  # ten times as fast as a sum
        bias_gradient_V = torch.mm(ones_1N, gradient_NV).flatten().float().mul_(upstream)
        return hidden_gradient_NH, weight_gradient_VH, bias_gradient_V, None, None, None


def label_loss(logits_BC: Tensor, labels_B: Tensor, smoothing: float) -> Tensor:
    """The mean cross-entropy of labels, in nats; the target of out-of-scope texts is uniform.

    ``labels_B``: indices (B,), or for a multi-label classifier 0 or 1 for each label (B, C). Its
    cross-entropy is the sum over the labels, each a decision of its own.
    """
    if labels_B.dim() == 2:
        target_BC = (1.0 - smoothing) * labels_B + smoothing / labels_B.shape[1]
        summed = functional.binary_cross_entropy_with_logits(logits_BC, target_BC, reduction="sum")
        return summed / len(labels_B)
    outside_B = labels_B == OUT_OF_SCOPE_INDEX
    if not outside_B.any():
        return functional.cross_entropy(logits_BC, labels_B, label_smoothing=smoothing)
    inside = functional.cross_entropy(
        logits_BC,
        labels_B,
        label_smoothing=smoothing,
        ignore_index=OUT_OF_SCOPE_INDEX,
        reduction="sum",
    )
    outside = -logits_BC[outside_B].log_softmax(dim=1).mean(dim=1).sum()
    return (inside + outside) / len(labels_B)
