"""The network that cannot forget: h_t = h_(t-1) + f(x_t), with f one layer of tanh.

The gradient with respect to its state is the same at every step back, whatever its weights. It
stands beside the cells of `model` as the other end of what a recurrence can be; nothing is served
with it. Shape suffixes: T time, B rows, E embedding, H hidden, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.inspection import Step


class AdditiveLanguageModel(nn.Module):
    """A language model that adds up what it reads."""

    def __init__(self, *, vocabulary: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.feature = nn.Linear(embedding, hidden)
        self.initial_hidden_H = nn.Parameter(torch.zeros(hidden))
        self.output = nn.Linear(hidden, vocabulary)
        nn.init.zeros_(self.output.bias)

    def hidden_states(self, tokens_TB: Tensor) -> Tensor:
        """States (T, B, H) from the learned first one, all at once."""
        return self.initial_hidden_H + self._features(tokens_TB).cumsum(dim=0)

    def steps(self, tokens_TB: Tensor, hidden_BH: Tensor) -> list[Step]:
        """The same from a given state, step by step, so that gradients can be taken at each."""
        steps = []
        for added_BH in self._features(tokens_TB):
            hidden_BH = hidden_BH + added_BH
            steps.append(Step(hidden_BH, None, {}))
        return steps

    def logits(self, hidden_TBH: Tensor) -> Tensor:
        """Unnormalized log-probabilities (..., V) of the next token."""
        return self.output(hidden_TBH)  # type: ignore[no-any-return]

    def _features(self, tokens_TB: Tensor) -> Tensor:
        return torch.tanh(self.feature(self.embedding(tokens_TB)))
