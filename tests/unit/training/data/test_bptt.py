"""The order in which training reads: columns, windows, epochs, restarts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.data.bptt import BPTTLoader
from training.data.token_stream import TokenStream

END = 1000


def stream(lengths: list[int]) -> TokenStream:
    """Documents whose tokens all differ: 0, 1, 2, ... with END before each document."""
    parts: list[list[int]] = []
    borders: list[int] = []
    next_token = 0
    for length in lengths:
        borders.append(sum(len(part) for part in parts))
        parts.append([END, *range(next_token, next_token + length)])
        next_token += length
    return TokenStream(np.concatenate(parts).astype(np.int64), np.array(borders), END)


def windows(
    lengths: list[int], *, columns: int = 3, length: int = 10, restart: float = 0.0
) -> BPTTLoader:
    """Windows over made-up documents."""
    return BPTTLoader(
        stream=stream(lengths), columns=columns, length=length, restart=restart, seed=7
    )


LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=12)


@given(lengths=LENGTHS, columns=st.integers(1, 5), length=st.integers(1, 30))
def test_an_epoch_predicts_every_token_once(lengths: list[int], columns: int, length: int) -> None:
    """Every token is predicted once, except the few that do not fill a column."""
    order = windows(lengths, columns=columns, length=length)
    total = len(order.stream)
    targets = torch.cat([window.targets_TB.flatten() for window in order.epoch(0)]).tolist()
    tokens = [target for target in targets if target != END]
    assert len(set(tokens)) == len(tokens)
    assert total - min(columns, total) < len(targets) <= total


@given(lengths=LENGTHS, columns=st.integers(1, 5))
def test_the_target_of_a_token_is_the_next_one_of_its_document(
    lengths: list[int], columns: int
) -> None:
    """Tokens were numbered in order, so the successor of n is n + 1 or a document's end."""
    order = windows(lengths, columns=columns)
    last = set(np.cumsum(lengths) - 1)
    for window in order.epoch(0):
        pairs = zip(window.inputs_TB.flatten(), window.targets_TB.flatten(), strict=True)
        for token, target in ((int(a), int(b)) for a, b in pairs):
            if token != END:
                assert target == (END if token in last else token + 1)


def test_columns_continue_from_window_to_window() -> None:
    """Columns continue in the next window, so the carried state belongs to the tokens before."""
    order = windows([500])
    epoch = order.epoch(0)
    for before, after in zip(list(epoch), list(epoch)[1:], strict=False):
        assert torch.equal(before.targets_TB[-1], after.inputs_TB[0])


def test_starts_are_where_documents_begin() -> None:
    """A state is reset where an epoch begins, since its first column continues no other."""
    for window in windows([20] * 10).epoch(3):
        starts = window.starts_TB
        starts_TB = (
            torch.zeros_like(window.inputs_TB, dtype=torch.bool) if starts is None else starts
        )
        assert torch.equal(starts_TB, window.inputs_TB == END)
    first = windows([500]).epoch(0).window(0)
    assert first.starts_TB is not None
    assert first.starts_TB[0].all()


def test_a_restart_hides_the_token_before_and_keeps_the_target() -> None:
    """With a chance of nearly 1 every window of every column begins anew."""
    plain = windows([400])
    restarted = replace(plain, restart=0.999999).epoch(0)
    assert len(restarted) > 5
    for one, other in zip(plain.epoch(0), restarted, strict=True):
        assert (other.inputs_TB[0] == END).all()
        assert torch.equal(one.targets_TB, other.targets_TB)
        assert torch.equal(one.inputs_TB[1:], other.inputs_TB[1:])


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    """The same again when asked again; another in another epoch and with another seed."""
    order = windows([30] * 20, restart=0.3)

    def read(choice: BPTTLoader, epoch: int) -> list[list[int]]:
        return [window.inputs_TB.flatten().tolist() for window in choice.epoch(epoch)]

    assert read(order, 2) == read(order, 2)
    assert read(order, 2) != read(order, 3)
    assert read(order, 2) != read(replace(order, seed=8), 2)


@pytest.mark.parametrize("lengths", [[0], [0, 0, 0], [1]])
def test_next_to_nothing_can_be_read(lengths: list[int]) -> None:
    """A document without tokens is its end alone."""
    epoch = windows(lengths, columns=32, length=70).epoch(0)
    assert sum(window.targets_TB.numel() for window in epoch) == sum(lengths) + len(lengths)
    assert epoch.window(len(epoch) - 1).epoch_share == 1.0


def test_window_lengths_are_few_and_near_the_option() -> None:
    """Each new length costs memory inside the libraries."""
    epoch = windows([20000], columns=2, length=70).epoch(0)
    lengths = [len(window.inputs_TB) for window in epoch]
    assert len(set(lengths)) < 20
    assert 60 < np.median(lengths) < 80
    assert max(lengths) < 110
