"""Every kernel against torch's own modules in float64, and the guarantees of the interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest
import torch

from model.architecture import CELLS, Cell, LanguageModelArchitecture
from model.networks import LanguageModel
from model.state import State
from service.kernel.api.interface import Kernel, RowWork, Sampling, Scored
from service.kernel.api.packing import KernelPrecision
from service.kernel.native.kernel import NativeKernel
from service.kernel.pytorch.kernel import TorchKernel
from tests.support.service.reference import NaiveReader, random_network

VOCABULARY = 30
END = VOCABULARY - 1
BOUND = 3e-5  # on log-probabilities, float32 against float64
INT8_BOUNDS = {"elman": 0.1, "gru": 0.04, "lstm": 0.03}  # the same for int8, weights of usual size
TEXT = [END, 4, 7, 2, 2, 19, 28, 11, 5]


@dataclass(frozen=True)
class Kind:
    """One kernel and precision."""

    kernel: Literal["native", "torch"]
    precision: KernelPrecision = "float32"

    def make(
        self, network: LanguageModel, capacity: int = 8, threads: int = 1, end: int = END
    ) -> Kernel:
        """A kernel that never samples token 0; its threads share even the smallest step."""
        if self.kernel == "torch":
            return TorchKernel(network, capacity=capacity, end=end, suppressed={0})
        return NativeKernel(
            network,
            capacity=capacity,
            end=end,
            suppressed={0},
            threads=threads,
            precision=self.precision,
            worth_sharing=0,
        )


TORCH, NATIVE, INT8 = Kind("torch"), Kind("native"), Kind("native", "int8")
KINDS = [
    pytest.param(TORCH, id="torch"),
    pytest.param(NATIVE, id="native-float32"),
    pytest.param(INT8, id="native-int8"),
]
each_kind = pytest.mark.parametrize("kind", KINDS)


def distributions(kernel: Kernel, row: int, tokens: list[int]) -> np.ndarray:
    """Log-probabilities after each token (T, V), one call each."""
    logprobs = []
    for token in tokens:
        result = kernel.run([RowWork(row=row, feed=[token], distribution=True)], 1)[0]
        assert result.logprobs_V is not None
        logprobs.append(result.logprobs_V)
    return np.stack(logprobs)


def exact_distributions(network: LanguageModel, tokens: list[int]) -> np.ndarray:
    """The same from nn.LSTM, nn.GRU or nn.RNN in float64."""
    reader = NaiveReader(network.double(), torch.float64)
    logprobs = [torch.log_softmax(reader.read(token), dim=0).numpy() for token in tokens]
    network.float()
    return np.stack(logprobs)


ADAPTIVE: dict[str, Any] = {"cutoffs": (5, 6, 17), "division": 2}
HEADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "projection": {"projection": 9},
    "tied": {"hidden": 12, "tied": True},
    "tied projection": {"projection": 12, "tied": True},
    "adaptive": ADAPTIVE,
    "adaptive projection": ADAPTIVE | {"projection": 9},
    "adaptive tied": ADAPTIVE | {"projection": 12, "tied": True},
    "adaptive all tied": ADAPTIVE | {"projection": 12, "tied": True, "division": 1},
}
each_softmax = pytest.mark.parametrize("softmax", [{}, ADAPTIVE], ids=["full", "adaptive"])


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("head", HEADS)
def test_numbers_are_those_of_torch_in_float64(
    kind: Kind, cell: Cell, layers: int, head: str
) -> None:
    """Every cell, depth and head stays within the bound, over a whole text."""
    network = random_network(cell, layers, **HEADS[head])
    kernel = kind.make(network)
    kernel.open(3)
    logprobs = distributions(kernel, 3, TEXT)
    np.testing.assert_allclose(logprobs, exact_distributions(network, TEXT), atol=BOUND)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("head", ["plain", "projection", "tied", "adaptive"])
def test_int8_stays_near(cell: Cell, layers: int, head: str) -> None:
    """With weights of the usual size, no log-probability is off by more than the stated bound."""
    adaptive = head == "adaptive"
    network = random_network(
        cell,
        layers,
        vocabulary=200,
        embedding=64,
        hidden=64,
        projection=48 if head == "projection" else None,
        tied=head == "tied",
        scale=0.125,
        cutoffs=(30, 100) if adaptive else (),
        division=2 if adaptive else None,
    )
    kernel = INT8.make(network)
    kernel.open(3)
    logprobs = distributions(kernel, 3, TEXT)
    exact = exact_distributions(network, TEXT)
    np.testing.assert_allclose(logprobs, exact, atol=INT8_BOUNDS[cell])
    assert np.abs(logprobs - exact).mean() < INT8_BOUNDS[cell] / 4


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Sets torch's number of threads within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cell", "hidden", "threads_used", "counts"),
    [
        ("elman", 96, 1, range(2, 65, 3)),
        ("gru", 96, 1, range(2, 65, 3)),
        ("lstm", 96, 1, range(2, 65)),
        ("lstm", 20, 1, range(2, 65, 3)),
        ("lstm", 96, 2, (2, 5, 8, 13, 40, 63)),
    ],
)
@each_kind
@each_softmax
def test_a_row_has_the_same_bits_among_any_number_of_rows(
    kind: Kind,
    softmax: dict[str, Any],
    cell: Cell,
    hidden: int,
    threads_used: int,
    counts: Sequence[int],
) -> None:
    """Alone or as any row among 2 to 64, with one thread or two: the bits are equal."""
    network = random_network(cell, 2, vocabulary=200, embedding=hidden, hidden=hidden, **softmax)
    kernel = kind.make(network, capacity=64, threads=threads_used, end=199)
    generator = np.random.default_rng(0)
    watched = [0, 5, 17, 40, 63]
    with threads(threads_used):
        alone = {row: _two_steps(kernel, [row])[0] for row in watched}
        for count in counts:
            rows = generator.permutation(64)[:count].tolist()
            for row, values in zip(rows, _two_steps(kernel, rows), strict=True):
                assert row not in alone or np.array_equal(values, alone[row])


def _two_steps(kernel: Kernel, rows: list[int]) -> list[np.ndarray]:
    """From the first state, [END] and a token of the row's own: the distribution after them."""
    for row in rows:
        kernel.open(row)
    for token in (lambda _: 199, lambda row: 7 * row % 199):
        work = [RowWork(row=row, feed=[token(row)], distribution=True) for row in rows]
        results = kernel.run(work, 1)
    return [result.logprobs_V for result in results if result.logprobs_V is not None]


@each_kind
@each_softmax
def test_the_output_layer_runs_only_for_rows_that_need_it(
    kind: Kind, softmax: dict[str, Any]
) -> None:
    """Rows that only read, in any mixture with sampling rows, do not change the bits of others."""
    network = random_network("lstm", 2, **softmax)
    kernel = kind.make(network, capacity=12)
    sampling = Sampling(seed=5)
    for readers in range(11):
        for row in range(12):
            kernel.open(row)
        work = [
            RowWork(row=row, feed=[END], sample=int(row % 11 >= readers), sampling=sampling)
            for row in range(12)
        ]
        generated = [result.generated for result in kernel.run(work, 1)]
        assert generated[:readers] == [[]] * len(generated[:readers])
        assert all(one == generated[10] for one in generated[readers:11])


@each_kind
@each_softmax
@pytest.mark.parametrize("cell", CELLS)
def test_a_burst_is_the_same_as_single_steps(
    kind: Kind, softmax: dict[str, Any], cell: Cell
) -> None:
    """Prompts of different lengths, scores and samples are the same in calls of 1, 3 or 50
    steps.
    """
    network = random_network(cell, 2, **softmax)
    outputs = [_run_through(kind.make(network), steps) for steps in (1, 3, 50)]
    assert outputs[0] == outputs[1] == outputs[2]
    assert all(len(generated) > 0 for generated, _ in outputs[0])


PENALIZED = Sampling(
    repetition_penalty=1.5, presence_penalty=0.5, logit_bias=((5, 2.0),), top_logprobs=2
)


def _run_through(kernel: Kernel, steps: int) -> list[tuple[list[Scored], list[Scored]]]:
    prompts = [TEXT[:1], TEXT[:4], TEXT]
    outputs: list[tuple[list[Scored], list[Scored]]] = [([], []) for _ in prompts]
    work = []
    for row, prompt in enumerate(prompts):
        kernel.open(row)
        sampling = replace(PENALIZED, seed=row)
        work.append(
            RowWork(
                row=row, feed=prompt, sample=20, sampling=sampling, seen=set(prompt), score=True
            )
        )
    while work:
        results = kernel.run(work, steps)
        for item, result in zip(list(work), results, strict=True):
            generated, scored = outputs[item.row]
            generated += result.generated
            scored += result.scored
            rest = list(item.feed[result.read :])
            item.feed = rest or [result.generated[-1].token]
            item.sample -= len(result.generated)
            item.position += len(result.generated)
            item.seen = {*item.seen, *(one.token for one in result.generated)}
            item.counts = Counter(one.token for one in generated)
            if item.sample == 0 or item.feed == [END]:
                work.remove(item)
    return outputs


@each_kind
@each_softmax
def test_scores_are_the_logprobs_of_the_fed_tokens(kind: Kind, softmax: dict[str, Any]) -> None:
    """``scored`` follows ``feed[1:]`` with the exact log-probabilities."""
    network = random_network("gru", 2, **softmax)
    kernel = kind.make(network)
    kernel.open(0)
    result = kernel.run([RowWork(row=0, feed=TEXT, score=True)], len(TEXT))[0]
    exact = exact_distributions(network, TEXT)
    assert [one.token for one in result.scored] == TEXT[1:]
    expected = [exact[place, token] for place, token in enumerate(TEXT[1:])]
    bound = 0.1 if kind is INT8 else BOUND  # weights four times the usual size
    np.testing.assert_allclose([one.logprob for one in result.scored], expected, atol=bound)
    assert result.read == len(TEXT)


@each_kind
@pytest.mark.parametrize("cell", CELLS)
def test_a_row_used_again_remembers_nothing(kind: Kind, cell: Cell) -> None:
    """After ``open``, a used row gives the bits of a fresh kernel."""
    network = random_network(cell, 2)
    fresh, used = kind.make(network), kind.make(network)
    used.open(1)
    distributions(used, 1, [5, 6, 7, 8])
    for kernel in (fresh, used):
        kernel.open(1)
    assert np.array_equal(distributions(used, 1, TEXT), distributions(fresh, 1, TEXT))


@each_kind
@pytest.mark.parametrize("cell", CELLS)
def test_saved_and_forked_states_go_on_where_they_were(kind: Kind, cell: Cell) -> None:
    """A fork and a restored copy continue bit by bit like the original, without affecting it."""
    kernel = kind.make(random_network(cell, 3))
    kernel.open(0)
    distributions(kernel, 0, TEXT[:4])
    kernel.fork(0, 5)
    saved = kernel.save(0)
    kept = State(
        saved.hidden_LBH.clone(), None if saved.cell_LBH is None else saved.cell_LBH.clone()
    )
    expected = distributions(kernel, 0, TEXT[4:])
    assert np.array_equal(distributions(kernel, 5, TEXT[4:]), expected)
    assert torch.equal(saved.hidden_LBH, kept.hidden_LBH)
    kernel.restore(2, saved)
    assert np.array_equal(distributions(kernel, 2, TEXT[4:]), expected)


@each_kind
@pytest.mark.parametrize("cell", CELLS)
def test_a_state_kept_on_the_way_goes_on_from_there(kind: Kind, cell: Cell) -> None:
    """A copy taken within a call, in the middle of a text or at its end, continues like the row."""
    kernel = kind.make(random_network(cell, 2))
    kernel.open(0)
    expected = distributions(kernel, 0, TEXT)
    for keep in (1, 4, len(TEXT)):
        kernel.open(1)
        (result,) = kernel.run([RowWork(row=1, feed=TEXT, sample=3, keep=keep)], len(TEXT) + 2)
        assert result.kept is not None
        kernel.restore(2, result.kept)
        rest = distributions(kernel, 2, TEXT[keep:]) if keep < len(TEXT) else expected[:0]
        assert np.array_equal(rest, expected[keep:])
    kernel.open(1)
    (short,) = kernel.run([RowWork(row=1, feed=TEXT, keep=5)], 4)
    assert short.kept is None


@each_kind
def test_the_kernel_does_not_follow_later_changes_of_the_network(kind: Kind) -> None:
    """Weights are packed at the start; later changes of the network have no effect."""
    network = random_network("lstm", 1)
    kernel = kind.make(network)
    kernel.open(0)
    before = distributions(kernel, 0, TEXT)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    kernel.open(0)
    assert np.array_equal(distributions(kernel, 0, TEXT), before)


BIASED_BEYOND = Sampling(logit_bias=((VOCABULARY, 1.0),))
BIASED_TWICE = Sampling(logit_bias=((1, 1.0), (1, 1.0)))


@each_kind
@pytest.mark.parametrize(
    ("work", "steps", "message"),
    [
        ([RowWork(row=0, feed=[1])], 0, "steps"),
        ([RowWork(row=0, feed=[1]), RowWork(row=0, feed=[1])], 1, "twice"),
        ([RowWork(row=8, feed=[1])], 1, "row"),
        ([RowWork(row=-1, feed=[1])], 1, "row"),
        ([RowWork(row=0, feed=[])], 1, "feed"),
        ([RowWork(row=0, feed=[VOCABULARY])], 1, "feed"),
        ([RowWork(row=0, feed=[1, -1])], 1, "feed"),
        ([RowWork(row=0, feed=[1], sample=-1)], 1, "sample"),
        ([RowWork(row=0, feed=[1], counts={VOCABULARY: 1})], 1, "counts"),
        ([RowWork(row=0, feed=[1], counts={-1: 1})], 1, "counts"),
        ([RowWork(row=0, feed=[1], counts={1: 2**31})], 1, "counts"),
        ([RowWork(row=0, feed=[1], sampling=BIASED_BEYOND)], 1, "logit_bias"),
        ([RowWork(row=0, feed=[1], sampling=BIASED_TWICE)], 1, "logit_bias"),
    ],
)
def test_impossible_work_is_refused_before_any_row_moves(
    kind: Kind, work: list[RowWork], steps: int, message: str
) -> None:
    """The error names the field, and no row has moved."""
    kernel = kind.make(random_network("elman", 1))
    for row in range(8):
        kernel.open(row)
    before = kernel.save(0)
    with pytest.raises(ValueError, match=message):
        kernel.run([RowWork(row=1, feed=[1]), *work], steps)
    assert torch.equal(kernel.save(0).hidden_LBH, before.hidden_LBH)
    assert torch.equal(kernel.save(1).hidden_LBH, before.hidden_LBH)


@each_kind
def test_a_row_whose_logits_overflow_fails_alone(kind: Kind) -> None:
    """A row with infinite logits fails and stops; other rows continue as without it."""
    network = LanguageModel(
        LanguageModelArchitecture(
            cell="elman", vocabulary=VOCABULARY, embedding=3, hidden=20, layers=1
        )
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.embedding.weight[5] = 9.0
        network.recurrent.weight_ih_l0.fill_(1.0)  # type: ignore[operator]
        network.output.weight.fill_(3e38)
    kernel = kind.make(network)
    feeds = ([2, 3], [2, 5], [3])
    for row in range(len(feeds)):
        kernel.open(row)
    results = kernel.run(
        [RowWork(row=row, feed=feed, sample=4) for row, feed in enumerate(feeds)], 6
    )
    assert [result.failed for result in results] == [False, True, False]
    assert [len(result.generated) for result in results] == [4, 0, 4]
