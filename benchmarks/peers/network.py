"""The weights of an artifact in plain torch modules.

Inference mode belongs to a thread, so every call enters it: a server may run the steps of a stream
in different threads.
"""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from model.architecture import LanguageModelArchitecture
from model.artifact import load_artifact
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer

MODULES = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
PlainState = Tensor | tuple[Tensor, Tensor]


class PlainNetwork(nn.Module):
    """nn.Embedding, nn.LSTM (or nn.GRU, nn.RNN) and nn.Linear; the initial state is zero."""

    def __init__(self, architecture: LanguageModelArchitecture) -> None:
        super().__init__()
        a = architecture
        self.embedding = nn.Embedding(a.vocabulary, a.embedding)
        self.recurrent = MODULES[a.cell](a.embedding, a.hidden, a.layers)
        self.projection = None if a.projection is None else nn.Linear(a.hidden, a.projection)
        self.output = nn.Linear(a.output_input, a.vocabulary)

    @torch.inference_mode()
    def forward(
        self, tokens_TB: Tensor, state: PlainState | None = None
    ) -> tuple[Tensor, PlainState]:
        """Logits (T, B, V) of the next tokens, and the final state."""
        hidden_TBH, after = self.recurrent(self.embedding(tokens_TB), state)
        if self.projection is not None:
            hidden_TBH = self.projection(hidden_TBH)
        return self.output(hidden_TBH), cast("PlainState", after)

    @torch.inference_mode()
    def step(self, tokens_B: Tensor, state: PlainState | None) -> tuple[Tensor, PlainState]:
        """Samples one token for each row at temperature 1 from the full softmax."""
        logits_TBV, after = self(tokens_B.unsqueeze(0), state)
        sampled_B1 = torch.multinomial(torch.softmax(logits_TBV[-1], dim=-1), 1)
        return sampled_B1.squeeze(1), after


def plain_from(network: LanguageModel) -> PlainNetwork:
    """The weights of a language model in plain modules, without its learned initial state."""
    plain = PlainNetwork(network.architecture)
    plain.load_state_dict(
        {name: value for name, value in network.state_dict().items() if name in plain.state_dict()}
    )
    return plain.eval()


def load_plain(directory: Path) -> tuple[PlainNetwork, Tokenizer]:
    """The language model of an artifact as plain modules, and its tokenizer."""
    artifact = load_artifact(directory)
    if not isinstance(artifact.network, LanguageModel):
        raise SystemExit(f"{directory}: expected a language model")
    return plain_from(artifact.network), artifact.tokenizer
