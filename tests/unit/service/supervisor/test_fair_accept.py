"""Connections of workers that accept from one socket."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import ExitStack

import pytest

from service.supervisor.board import Board, WorkerState
from service.supervisor.fair_accept import ConnectionCount, CountingGate, FairListener


class Connection(asyncio.Protocol):
    """A connection that enters a gate, as those of the service do."""

    def __init__(self, gate: CountingGate, accepted: Counter[int], slot: int) -> None:
        self._gate, self._accepted, self._slot = gate, accepted, slot

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: ARG002
        self._accepted[self._slot] += 1
        self._gate.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._gate.leave(self)

    def close_now(self) -> None:
        """Not used: the limit is not reached."""

    def turn_away(self) -> None:
        """Not used: the limit is not reached."""


def board_of(workers: int) -> Board:
    """A board of workers that serve."""
    board = Board.create(workers)
    for slot in range(workers):
        board.set_state(slot, WorkerState.SERVING)
        board.beat(slot)
    return board


async def accept(board: Board, accepting: list[int], count: int) -> Counter[int]:
    """Connections of each worker after ``count`` clients have connected one after the other, and
    checks that none is counted after they have left.
    """
    accepted = Counter[int]()
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as opened:
        listeners = []
        for slot in accepting:
            counted = ConnectionCount(board, slot)
            gate = CountingGate(100, counted)

            def make(gate: CountingGate = gate, slot: int = slot) -> Connection:
                return Connection(gate, accepted, slot)

            own = opened.enter_context(listener.dup())  # as a process has its own
            listeners.append(FairListener(own, make, counted))
        writers = []
        for number in range(count):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writers.append(writer)
            while sum(accepted.values()) <= number:
                await asyncio.sleep(0.001)
                for slot in accepting:
                    board.beat(slot)
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        while any(board.connections(slot) for slot in accepting):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        for each in listeners:
            each.close()
    return accepted


@pytest.mark.parametrize("workers", [2, 3])
def test_connections_go_to_the_worker_with_the_fewest(workers: int) -> None:
    """The same number for each, and none is counted once it is closed."""
    accepted = asyncio.run(accept(board_of(workers), list(range(workers)), workers * 4))
    assert accepted == dict.fromkeys(range(workers), 4)


def test_a_worker_that_does_not_accept_keeps_nobody_waiting() -> None:
    """A worker with fewer connections that hangs is waited for some milliseconds only."""
    assert asyncio.run(accept(board_of(2), [0], 5)) == {0: 5}


def test_no_connection_is_left_to_a_worker_that_does_not_serve() -> None:
    """Workers that have ended, start or drain count as having no fewer."""
    board = board_of(2)
    counted = ConnectionCount(board, 0)
    counted.add(1)
    assert counted.another_has_fewer()
    for state in (WorkerState.ENDED, WorkerState.STARTING, WorkerState.UNREADY):
        board.set_state(1, state)
        assert not counted.another_has_fewer()
