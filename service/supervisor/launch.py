"""Starts a worker: the command of the supervisor again, with what it inherits in a variable.

A fresh interpreter, and no fork of the supervisor: it inherits neither its event loop nor its
signal handlers, and no descriptors but those named here.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from service.backend.settings import Settings
from service.supervisor.board import Board

VARIABLE = "_UNROLL_WORKER"
_STATE_KEY = "UNROLL_STATE_KEY"


@dataclasses.dataclass(frozen=True, slots=True)
class Inheritance:
    """What a worker gets from the supervisor: its number from 0, the number of workers, and
    descriptors.
    """

    slot: int
    workers: int
    listeners: tuple[int, ...]
    channel: int
    board: int


def inherited() -> Inheritance | None:
    """What this process has inherited; None if it is not a worker. The variable is removed, so that
    no other process takes itself for a worker.
    """
    text = os.environ.pop(VARIABLE, None)
    if text is None:
        return None
    fields = json.loads(text)
    return Inheritance(**{**fields, "listeners": tuple(fields["listeners"])})


def command_of(arguments: Sequence[str]) -> list[str]:
    """The command line of this process, which a worker gets too. Raises RuntimeError if the
    arguments of the service are not its end.
    """
    own = sys.orig_argv
    if list(own[len(own) - len(arguments) :]) != list(arguments):
        raise RuntimeError(
            "--workers starts the command line of this process again, which is not that of the "
            "service: start it as `unroll serve` or `python -m service`"
        )
    return [sys.executable, *own[1:]]


def launch(
    command: Sequence[str],
    slot: int,
    listeners: Sequence[socket.socket],
    board: Board,
    state_key: str,
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a worker. Returns its process and the supervisor's end of its channel. Raises OSError.

    A worker has a process group of its own, so that Ctrl+C reaches the supervisor alone.
    """
    own, other = socket.socketpair()
    with other:
        sockets = tuple(listener.fileno() for listener in listeners)
        inheritance = Inheritance(slot, board.workers, sockets, other.fileno(), board.descriptor)
        variables = {VARIABLE: json.dumps(dataclasses.asdict(inheritance)), _STATE_KEY: state_key}
        try:
            process = subprocess.Popen(
                command,
                env={**os.environ, **variables},
                pass_fds=(*sockets, other.fileno(), board.descriptor),
                process_group=0,
            )
        except BaseException:
            own.close()
            raise
    return process, own


def worker_settings(settings: Settings, slot: int, workers: int) -> Settings:
    """The settings of one worker: its share of what belongs to the machine, which is processors,
    memory and connections. Limits of clients and of models stay as they are.
    """
    threads = settings.thread_count
    share = threads // workers + (slot < threads % workers)
    divided = {"threads": max(1, share)}
    for name in ("max_connections", "max_answers_bytes", "state_cache_bytes"):
        whole = getattr(settings, name)
        if whole is not None:
            divided[name] = -(-whole // workers)
    return settings.model_copy(update=divided)


def describe_status(status: int) -> str:
    """How a process has ended, from its return code."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
