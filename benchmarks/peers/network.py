"""The same weights as an artifact's, in the plain torch modules that anyone would use.

Knows nothing of our kernels or servers.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from model.architecture import LanguageModelArchitecture
from model.artifact import load_artifact
from model.networks import LanguageModel
from model.tokenizer import Tokenizer

PlainState = tuple[Tensor, Tensor]


class PlainNetwork(nn.Module):
    """nn.Embedding, nn.LSTM and nn.Linear; starts from a state of zeros."""

    def __init__(self, architecture: LanguageModelArchitecture) -> None:
        super().__init__()
        self.embedding = nn.Embedding(architecture.vocabulary, architecture.embedding)
        self.recurrent = nn.LSTM(architecture.embedding, architecture.hidden, architecture.layers)
        self.output = nn.Linear(architecture.hidden, architecture.vocabulary)

    def forward(
        self, tokens_TB: Tensor, state: PlainState | None = None
    ) -> tuple[Tensor, PlainState]:
        """Logits of every next token (T, B, V), and the state after the last."""
        hidden_TBH, after = self.recurrent(self.embedding(tokens_TB), state)
        return self.output(hidden_TBH), after

    def step(self, tokens_B: Tensor, state: PlainState | None) -> tuple[Tensor, PlainState]:
        """Draws one token for each row at temperature 1 from the full softmax."""
        logits_TBV, after = self(tokens_B.unsqueeze(0), state)
        drawn_B1 = torch.multinomial(torch.softmax(logits_TBV[-1], dim=-1), 1)
        return drawn_B1.squeeze(1), after


def load_plain(directory: Path) -> tuple[PlainNetwork, Tokenizer]:
    """The LSTM language model of an artifact, as plain modules, and its tokenizer."""
    artifact = load_artifact(directory)
    network = artifact.network
    if (
        not isinstance(network, LanguageModel)
        or network.architecture.cell != "lstm"
        or network.architecture.projection is not None
    ):
        raise SystemExit(f"{directory}: the peers serve LSTM language models without projection")
    plain = PlainNetwork(network.architecture)
    plain.load_state_dict(
        {name: value for name, value in network.state_dict().items() if name in plain.state_dict()}
    )
    return plain.eval(), artifact.tokenizer
