"""The training script most people write first: nn.LSTM, truncated backpropagation, full softmax.

    python -m benchmarks.peers.word_language_model --tokenizer FILE --train FILES --valid FILES
        --minutes 10 --hidden 200 --layers 2 --optimizer sgd|adam --out DIR

In the manner of PyTorch's word language model example, with its customary settings: batch 20,
windows of 35, dropout 0.2, gradients clipped at 0.25, tied weights; SGD from a rate of 20, divided
by 4 after an epoch that did not help, or Adam at 0.001. The best weights become an artifact, so
that whatever measures ours measures these. Knows nothing of our training.
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
PlainState = tuple[Tensor, Tensor]


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

    def forward(self, tokens_TB: Tensor, state: PlainState | None) -> tuple[Tensor, PlainState]:
        hidden_TBH, after = self.recurrent(self.drop(self.embedding(tokens_TB)), state)
        return self.output(self.drop(hidden_TBH)), after


def read_tokens(files: Sequence[Path], tokenizer: Tokenizer) -> Tensor:
    """All files as one row of ids, each closed by [END]."""
    ids: list[int] = []
    for file in files:
        ids += [*tokenizer.encode(file.read_text(encoding="utf-8")), tokenizer.end]
    return torch.tensor(ids)


def columns(tokens: Tensor, batch: int) -> Tensor:
    """Cuts a row of ids into `batch` columns that are read side by side; (T, batch)."""
    length = len(tokens) // batch
    return tokens[: length * batch].view(batch, length).T.contiguous()


def windows(tokens_TB: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and what they predict, one window after the other."""
    for begin in range(0, len(tokens_TB) - 1, WINDOW):
        end = min(begin + WINDOW, len(tokens_TB) - 1)
        yield tokens_TB[begin:end], tokens_TB[begin + 1 : end + 1]


def detached(state: PlainState) -> PlainState:
    """The state without the history that gradients would flow along."""
    return state[0].detach(), state[1].detach()


@torch.no_grad()
def loss_on(network: ExampleNetwork, tokens_TB: Tensor) -> float:
    """Mean loss in nats over a whole split, dropout off."""
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
    """One pass over the data; False if the time was over before its end."""
    state: PlainState | None = None
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
    """Trains until the deadline and leaves the best weights in the network; its validation loss.

    The evaluation after the deadline is not counted against the script.
    """
    rate = RATES[args.optimizer]
    kind = torch.optim.SGD if args.optimizer == "sgd" else torch.optim.Adam
    optimizer = kind(network.parameters(), lr=rate)
    best, best_weights = math.inf, copy.deepcopy(network.state_dict())
    go_on = True
    while go_on:
        go_on = train_epoch(network, optimizer, train_TB, args.deadline)
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
    """Writes the artifact; the first state stays what it was in training, zeros."""
    architecture = LanguageModelArchitecture(
        cell="lstm",
        vocabulary=tokenizer.size,
        embedding=args.hidden,
        hidden=args.hidden,
        layers=args.layers,
        tied=True,
    )
    ours = LanguageModel(architecture)
    strange = ours.load_state_dict(network.state_dict(), strict=False)
    assert not strange.unexpected_keys
    assert all(name.startswith("initial_") for name in strange.missing_keys)
    save_artifact(
        args.out,
        network=ours,
        tokenizer=tokenizer,
        name=args.out.name,
        provenance={"recipe": f"plain script, {args.optimizer}, {args.minutes} minutes"},
        metrics={},
    )


def main() -> None:
    """Reads the command line, trains, and writes the artifact."""
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
