"""Accepts connections from a socket that all workers share, so that each gets as many as others.

An event loop accepts all waiting connections at once, so that the worker that wakes first gets
nearly all of them. With one socket for each worker (SO_REUSEPORT), a hash chooses the worker: two
connections share one in half of the cases, and connections wait for workers that hang or have
ended. Here a worker that has more connections than another one leaves a new one to it for some
milliseconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from service.protocol.connection_gate import Closable, ConnectionGate, GateDecision
from service.supervisor.board import Board, WorkerState

logger = logging.getLogger(__name__)
_LEAVE_SECONDS = 0.001
_LEAVE_TIMES = 5
_NEW_SECONDS = 0.02
"""After so long without a pause, a connection is a new one."""
_EXHAUSTED_SECONDS = 0.5
_PULSE_SECONDS = 1.0
"""A worker that has not moved for so long is left no connections."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class ConnectionCount:
    """The connections of a worker, which the others see."""

    def __init__(self, board: Board, slot: int) -> None:
        self._board = board
        self._slot = slot
        self._count = 0

    def add(self, change: int) -> None:
        """Connections were accepted or closed."""
        self._count += change
        self._board.set_connections(self._slot, self._count)

    def another_has_fewer(self) -> bool:
        """Whether another worker that accepts connections has fewer than this one."""
        board = self._board
        return any(
            board.connections(slot) < self._count
            for slot in range(board.workers)
            if slot != self._slot
            and board.state(slot) is WorkerState.SERVING
            and board.age(slot) < _PULSE_SECONDS
        )


class CountingGate(ConnectionGate):
    """A gate that counts down when a connection closes. It was counted when it was accepted."""

    def __init__(self, limit: int, count: ConnectionCount) -> None:
        super().__init__(limit)
        self._connection_count = count
        self._entered: set[Closable] = set()

    def enter(self, connection: Closable) -> GateDecision:
        self._entered.add(connection)
        return super().enter(connection)

    def leave(self, connection: Closable) -> None:
        super().leave(connection)
        if connection in self._entered:
            self._entered.discard(connection)
            self._connection_count.add(-1)


class FairListener:
    """Accepts from one socket. ``protocol`` makes the protocol of a connection."""

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        count: ConnectionCount,
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._protocol = protocol
        self._count = count
        self._loop = asyncio.get_running_loop()
        self._resumption: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._open = True
        self._left = 0
        self._left_last = 0.0
        self._loop.add_reader(listener, self._accept_fairly)

    def close(self) -> None:
        """Accept no more. The socket stays open."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._listener)
        if self._resumption is not None:
            self._resumption.cancel()

    def _accept_fairly(self) -> None:
        """One connection: whether there are more is known at the next turn of the loop."""
        if self._count.another_has_fewer() and self._may_leave():
            self._pause(_LEAVE_SECONDS)
        else:
            self._left = 0
            self._accept()

    def _may_leave(self) -> bool:
        now = self._loop.time()
        if now - self._left_last > _NEW_SECONDS:
            self._left = 0
        self._left, self._left_last = self._left + 1, now
        return self._left <= _LEAVE_TIMES

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._resumption = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._listener, self._accept_fairly)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker has accepted it, or the client has left
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            logger.error("connections wait: %s; raise ulimit -n", error.strerror)
            self._pause(_EXHAUSTED_SECONDS)
            return
        self._count.add(1)
        task = self._loop.create_task(self._open_connection(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_connection(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        entered = False

        def protocol() -> asyncio.Protocol:
            nonlocal entered
            entered = True
            return self._protocol()

        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(protocol, connection)
        except OSError as error:
            logger.debug("a connection ended before it was open: %s", error)
            connection.close()
            if not entered:
                self._count.add(-1)
