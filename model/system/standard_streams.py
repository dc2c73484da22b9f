"""Running a command whose standard streams may be closed, broken or on a full disk.

``python -m service >&-`` starts without file descriptor 1, and ``python -m training ... | head``
loses the reader of its output. Neither is an error of the command.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable

BROKEN_PIPE_STATUS = 141
"""Exit status that a shell reports for a process ended by SIGPIPE."""
FAILURE_STATUS = 1


def run_command(command: Callable[[], int]) -> int:
    """Runs a command and returns its exit status.

    Args:
        command: returns its exit status, or raises SystemExit as argparse does.

    Returns:
        The command's status; 141 without a message if the reader of its output has closed the pipe;
        1 if the output could not be written.
    """
    open_closed_streams()
    try:
        status = _status_of(command)
        status = _flush_output() or status
    except BrokenPipeError:
        status = BROKEN_PIPE_STATUS
    discard_unwritten()
    return status


def open_closed_streams() -> None:
    """Opens the null device in place of every closed standard stream.

    Otherwise the next file or socket would get the stream's descriptor and receive the output of
    every library that prints.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free descriptor
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            stream = open(descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def discard_unwritten() -> None:
    """Redirects a broken stream to the null device.

    The interpreter flushes the stream's buffer at exit and would report the error a second time.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


def _status_of(command: Callable[[], int]) -> int:
    """The command's return value, or its argument of ``sys.exit``."""
    try:
        return command()
    except SystemExit as exit_request:
        if isinstance(exit_request.code, str):
            sys.stderr.write(f"{exit_request.code}\n")
            return FAILURE_STATUS
        return exit_request.code or 0


def _flush_output() -> int:
    """Flushes standard output; 0, or the exit status if the disk is full."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"error: standard output: {error.strerror}\n")
        return FAILURE_STATUS
    return 0
