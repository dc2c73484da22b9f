"""Standard input, output and error of a command, which may be closed, broken or full.

``python -m service >&-`` starts without file descriptor 1, and ``python -m training ... | head``
loses the reader of its output. Neither is a fault of the command.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable

BROKEN_PIPE = 141
"""The exit status that a shell tells of a process that SIGPIPE has ended."""
CANNOT_DO = 1


def run_command(command: Callable[[], int]) -> int:
    """The exit status of a command that uses the standard streams.

    A command whose reader has gone ends without a message.
    """
    open_closed_streams()
    try:
        status = _status_of(command)
        status = _write_rest() or status
    except BrokenPipeError:
        status = BROKEN_PIPE
    discard_unwritten()
    return status


def open_closed_streams() -> None:
    """Opens the null device in place of every standard stream that is closed.

    Otherwise the next file or socket would get the stream's descriptor, and whatever a library
    prints would go there.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest one that is free
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            stream = open(descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def discard_unwritten() -> None:
    """Sends what a broken stream still holds to the null device.

    The interpreter writes it when it ends and would complain again.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def _status_of(command: Callable[[], int]) -> int:
    """What the command returns, or what it gave to ``sys.exit``, as argparse does."""
    try:
        return command()
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            sys.stderr.write(f"{leaving.code}\n")
            return CANNOT_DO
        return leaving.code or 0


def _write_rest() -> int:
    """Writes what is left of the output; 0, or the exit status where the disk is full."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"error: standard output: {error.strerror}\n")
        return CANNOT_DO
    return 0
