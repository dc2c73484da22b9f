"""Commands whose standard streams are closed, broken or full."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT

pytestmark = pytest.mark.slow

COMMANDS = {
    "service help": ("service", "--help"),
    "training help": ("training", "--help"),
    "lm help": ("training", "lm", "--help"),
    "benchmarks help": ("benchmarks", "--help"),
    "wrong option": ("training", "--nothing"),
    "wrong file": ("training", "evaluate", "nowhere", "--data", "nowhere.txt"),
    "evaluate": ("training", "evaluate", "pretrained/sentiment", "--data", "{data}"),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two labeled texts."""
    file = tmp_path / "data.tsv"
    file.write_text("label\ttext\npositive\ta fine film\nnegative\ta dull film\n")
    return file


def run(name: str, data: Path, redirection: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with its streams redirected by a shell."""
    words = [word.format(data=data) for word in COMMANDS[name]]
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-m", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("redirection", ["| true", "| head -1", "2>&1 | true", ">&-", "2>&-"])
@pytest.mark.parametrize("name", COMMANDS)
def test_closed_output_is_no_traceback(name: str, data: Path, redirection: str) -> None:
    """A command whose output is closed, before or while it writes, ends without a traceback."""
    ended = run(name, data, redirection)
    for trace in ("Traceback", "Exception ignored", "BrokenPipeError"):
        assert trace not in ended.stderr


def test_closed_streams_do_not_change_the_outcome(data: Path) -> None:
    """A command has the same exit status without any standard stream."""
    assert run("evaluate", data, "<&- >&- 2>&-").returncode == 0
    assert run("wrong file", data, "<&- >&- 2>&-").returncode == 2


def test_a_full_disk_is_an_error(data: Path) -> None:
    """Output to a full disk gives an error message and an exit status other than 0."""
    ended = run("evaluate", data, ">/dev/full")
    assert ended.returncode != 0
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_broken_pipe_has_the_status_of_sigpipe(data: Path) -> None:
    """A broken pipe gives exit status 141, as of other commands."""
    reading, writing = os.pipe()
    os.close(reading)
    words = [word.format(data=data) for word in COMMANDS["evaluate"]]
    ended = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
        check=False,
    )
    os.close(writing)
    assert ended.returncode == 141
    assert ended.stderr == ""


STREAMS = """
import os
from model.system.standard_streams import open_closed_streams
open_closed_streams()
opened = os.open("pyproject.toml", os.O_RDONLY)
raise SystemExit(opened)
"""


def test_no_file_gets_the_descriptor_of_a_stream() -> None:
    """After ``>&-`` the next file that is opened gets a descriptor above those of the streams."""
    for redirection in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        ended = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", STREAMS],
            cwd=ROOT,
            timeout=100,
            check=False,
        )
        assert ended.returncode >= 3, redirection
