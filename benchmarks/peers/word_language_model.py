"""A plain training script: nn.LSTM, truncated backpropagation through time, full softmax.

    python -m benchmarks.peers.word_language_model --tokenizer FILE --train FILES --valid FILES
        --minutes 10 --hidden 200 --layers 2 --optimizer sgd|adam --out DIR

It follows PyTorch's word language model example with its usual settings: batch size 20, windows of
35 tokens, dropout 0.2, gradients clipped at 0.25, tied weights, and SGD with a learning rate of 20
that is divided by 4 after an epoch without improvement, or Adam at 0.001. The best weights become
an artifact.
"""

import argparse
import copy
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from model.architecture import LanguageModelArchitecture
from model.artifact import save_artifact
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer

BATCH, VALID_BATCH, WINDOW, DROPOUT, CLIP = 20, 10, 35, 0.2, 0.25
RATES = {"sgd": 20.0, "adam": 1e-3}
LstmState = tuple[Tensor, Tensor]


class ExampleNetwork(nn.Module):
    """Embedding, nn.LSTM and a tied output layer, dropout between them."""

    def __init__(self, vocabulary: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(DROPOUT)
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.recurrent = nn.LSTM(hidden, hidden, layers, dropout=DROPOUT)
        self.output = nn.Linear(hidden, vocabulary)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.output.bias)
        self.output.weight = self.embedding.weight

    def forward(self, tokens_TB: Tensor, state: LstmState | None) -> tuple[Tensor, LstmState]:
        hidden_TBH, after = self.recurrent(self.drop(self.embedding(tokens_TB)), state)
        return self.output(self.drop(hidden_TBH)), after


def read_tokens(files: Sequence[Path], tokenizer: Tokenizer) -> Tensor:
    """The token ids of all files in one sequence, with [END] after each file."""
    ids: list[int] = []
    for file in files:
        ids += [*tokenizer.encode(file.read_text(encoding="utf-8")), tokenizer.end]
    return torch.tensor(ids)


def columns(tokens: Tensor, batch: int) -> Tensor:
    """Splits a sequence into `batch` columns (T, batch) that are read in parallel."""
    length = len(tokens) // batch
    return tokens[: length * batch].view(batch, length).T.contiguous()


def windows(tokens_TB: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the inputs and targets of consecutive windows."""
    for begin in range(0, len(tokens_TB) - 1, WINDOW):
        end = min(begin + WINDOW, len(tokens_TB) - 1)
        yield tokens_TB[begin:end], tokens_TB[begin + 1 : end + 1]


def detached(state: LstmState) -> LstmState:
    """The state detached from the autograd graph."""
    return state[0].detach(), state[1].detach()


@torch.no_grad()
def loss_on(network: ExampleNetwork, tokens_TB: Tensor) -> float:
    """Mean loss in nats over a split, without dropout."""
    network.eval()
    total, state = 0.0, None
    for inputs, targets in windows(tokens_TB):
        logits, state = network(inputs, state)
        total += len(inputs) * float(
            nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        )
    network.train()
    return total / (len(tokens_TB) - 1)


def train_epoch(
    network: ExampleNetwork, optimizer: torch.optim.Optimizer, tokens_TB: Tensor, deadline: float
) -> bool:
    """Trains for one epoch; returns False if the deadline passed before its end."""
    state: LstmState | None = None
    for inputs, targets in windows(tokens_TB):
        if time.monotonic() > deadline:
            return False
        logits, after = network(inputs, None if state is None else detached(state))
        state = after
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
    return True


def train(
    network: ExampleNetwork, args: argparse.Namespace, train_TB: Tensor, valid_TB: Tensor
) -> float:
    """Trains until the deadline, loads the best weights, and returns their validation loss.

    The evaluation after the deadline is not part of the script's time.
    """
    optimizer_class = torch.optim.SGD if args.optimizer == "sgd" else torch.optim.Adam
    optimizer = optimizer_class(network.parameters(), lr=RATES[args.optimizer])
    best, best_weights = math.inf, copy.deepcopy(network.state_dict())
    in_time = True
    while in_time:
        in_time = train_epoch(network, optimizer, train_TB, args.deadline)
        loss = loss_on(network, valid_TB)
        print(f"{args.optimizer}: validation perplexity {math.exp(loss):.1f}", flush=True)
        if loss < best:
            best, best_weights = loss, copy.deepcopy(network.state_dict())
        elif args.optimizer == "sgd":
            for group in optimizer.param_groups:
                group["lr"] /= 4
    network.load_state_dict(best_weights)
    return best


def save(network: ExampleNetwork, args: argparse.Namespace, tokenizer: Tokenizer) -> None:
    """Writes the artifact; its initial state is zero, as in training."""
    architecture = LanguageModelArchitecture(
        cell="lstm",
        vocabulary=tokenizer.size,
        embedding=args.hidden,
        hidden=args.hidden,
        layers=args.layers,
        tied=True,
    )
    model = LanguageModel(architecture)
    keys = model.load_state_dict(network.state_dict(), strict=False)
    assert not keys.unexpected_keys
    assert all(name.startswith("initial_") for name in keys.missing_keys)
    save_artifact(
        args.out,
        network=model,
        tokenizer=tokenizer,
        name=args.out.name,
        provenance={"recipe": f"plain script, {args.optimizer}, {args.minutes} minutes"},
        metrics={},
    )


def main() -> None:
    """Parses the command line, trains, and writes the artifact."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.word_language_model")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    parser.add_argument("--valid", type=Path, nargs="+", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--optimizer", choices=sorted(RATES), default="sgd")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.deadline = time.monotonic() + 60 * args.minutes
    torch.manual_seed(args.seed)
    tokenizer = Tokenizer.load(args.tokenizer)
    train_TB = columns(read_tokens(args.train, tokenizer), BATCH)
    valid_TB = columns(read_tokens(args.valid, tokenizer), VALID_BATCH)
    network = ExampleNetwork(tokenizer.size, args.hidden, args.layers)
    train(network, args, train_TB, valid_TB)
    save(network, args, tokenizer)


if __name__ == "__main__":
    main()
