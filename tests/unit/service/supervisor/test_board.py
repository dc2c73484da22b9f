"""The numbers that the supervisor and its workers share."""

from __future__ import annotations

import os

from service.supervisor.board import Board, WorkerState


def test_a_board_is_shared_through_its_descriptor() -> None:
    """What one process writes, another one that has mapped the board reads."""
    board = Board.create(2)
    other = Board(os.dup(board.descriptor), 2)
    board.set_state(1, WorkerState.SERVING)
    board.set_connections(1, 7)
    board.beat(1)
    board.start_draining()
    assert other.state(0) is WorkerState.ENDED
    assert other.state(1) is WorkerState.SERVING
    assert other.connections(1) == 7
    assert other.connections(0) == 0
    assert other.age(1) < other.age(0)
    assert other.draining


def test_a_worker_that_has_ended_has_no_connections() -> None:
    """Its last count does not stay, so that the others do not wait for it."""
    board = Board.create(1)
    board.set_connections(0, 3)
    board.set_state(0, WorkerState.ENDED)
    assert board.connections(0) == 0
