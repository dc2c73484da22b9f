"""Commands of training as processes that are forked from a process with torch loaded.

`python -m training` needs two to three seconds of CPU time for imports, most of it for torch's
compiler, which optimizers import. A forked process has its own signals, limits and standard error,
and runs the same entry point. Tests of the interpreter's start and of the standard streams start
`python -m training` itself.
"""

import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "torch._dynamo",
        "training.commands.evaluate",
        "training.commands.train_classifier",
        "training.commands.train_language_model",
        __name__,
    ]
)


class ForkedCommand:
    """A running command with the interface of ``subprocess.Popen`` as far as tests use it.

    Args:
        arguments: of the command line.
        module: to run, or the path of a Python file.
        max_file_bytes: limit of each file that the command writes.
    """

    def __init__(
        self, *arguments: str, module: str = "training", max_file_bytes: int | None = None
    ) -> None:
        self.args = [module, *arguments]
        self._reader, writer = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_run_module, args=(module, arguments, writer, max_file_bytes)
        )
        self._process.start()
        writer.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def stderr(self) -> Connection:
        """The reading end of the pipe that is the command's standard error."""
        return self._reader

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[None, str]:
        """Waits for the end; the second value is the output on standard error.

        A test that runs out of time here kills the command, which would slow down all others.
        """
        stderr = b""
        try:
            while chunk := os.read(self._reader.fileno(), 65536):
                stderr += chunk
            self.wait(timeout)
        except BaseException:
            self.kill()
            raise
        self._reader.close()
        return None, stderr.decode()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run_forked(
    *arguments: str, module: str = "training", max_file_bytes: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, with at most ``max_file_bytes`` in each file that it writes."""
    process = ForkedCommand(*arguments, module=module, max_file_bytes=max_file_bytes)
    _, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.wait(), None, stderr)


def _run_module(
    module: str, arguments: Sequence[str], stderr: Connection, max_file_bytes: int | None
) -> None:
    """Runs in the forked process, as `python -m module` with these arguments."""
    os.dup2(stderr.fileno(), 2)
    stderr.close()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = [module, *arguments]
    with limited_files(max_file_bytes):
        if module.endswith(".py"):
            runpy.run_path(module, run_name="__main__")
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)


@contextmanager
def limited_files(max_bytes: int | None) -> Iterator[None]:
    """Limits the size of each file that the process writes; None is no limit.

    The limit ends with the context, so that a measurement of coverage can be written after it.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if max_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
