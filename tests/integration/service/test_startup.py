"""Conditions at the start, in real processes: some prevent it, others must not."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from service.listening import BindError, bind_socket, listen
from tests.support.repository import ROOT
from tests.support.service.process import PATIENCE, RunningService, eventually

# Root reads what it has no right to; without these two capabilities it is a plain user.
AS_PLAIN_USER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def command(*arguments: str) -> list[str]:
    """``python -m service`` as a process without the right to read everything."""
    prefix = AS_PLAIN_USER if os.getuid() == 0 else ()
    return [*prefix, sys.executable, "-m", "service", *arguments]


def run(words: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def assert_refused(ended: subprocess.CompletedProcess[str], status: int, expected: str) -> None:
    """The process ends with the status and an error line with the expected text, without a
    traceback.
    """
    assert ended.returncode == status, ended.stderr
    messages = [line for line in ended.stderr.splitlines() if line.startswith("unroll: ")]
    assert len(messages) >= 1, ended.stderr
    assert expected in messages[0]
    assert "Traceback" not in ended.stderr
    assert "Warning" not in ended.stderr


@pytest.fixture
def unreadable(models: Path, tmp_path: Path) -> Iterator[Path]:
    """A directory of models without read permission."""
    directory = tmp_path / "unreadable"
    shutil.copytree(models, directory)
    directory.chmod(0)
    yield directory
    directory.chmod(0o700)


@pytest.mark.parametrize("inside", [".", "words", "nowhere"])
def test_unreadable_models(unreadable: Path, inside: str) -> None:
    """A directory without read permission, or a subdirectory, is named with the reason."""
    directory = str(unreadable / inside)
    ended = run(command("--port", "0", "--models", directory))
    assert_refused(ended, 1, f"cannot read {directory}: Permission denied")


def test_an_unreadable_model_is_refused_alone(models: Path, tmp_path: Path) -> None:
    """The other artifacts are served, also if it becomes unreadable while the service runs."""

    class PlainUserService(RunningService):
        program = tuple(command())

    for name in ("words", "chars"):
        shutil.copytree(models / name, tmp_path / name)
    (tmp_path / "words").chmod(0)
    try:
        with PlainUserService(tmp_path, "--watch-seconds", "0.1") as service:
            answer = service.client.get("/models").json()
            assert [model["name"] for model in answer["models"]] == ["chars"]
            assert "Permission denied" in answer["refused"][0]["reason"]
            (tmp_path / "words").chmod(0o700)
            eventually(
                lambda: len(service.client.get("/models").json()["models"]) == 2, "it is served"
            )
            (tmp_path / "words").chmod(0)
            eventually(
                lambda: bool(service.client.get("/models").json()["refused"]), "it is refused"
            )
            assert service.text(model="words", max_tokens=2), "the loaded version serves on"
    finally:
        (tmp_path / "words").chmod(0o700)


@pytest.mark.parametrize("sort", ["file", "pipe", "link to nothing", "long name"])
def test_models_that_are_no_directory(tmp_path: Path, sort: str) -> None:
    """A path that is not a directory is named."""
    place = tmp_path / "place"
    if sort == "file":
        place.write_text("")
    elif sort == "pipe":
        os.mkfifo(place)
    elif sort == "link to nothing":
        place.symlink_to(tmp_path / "nowhere")
    else:
        place = tmp_path / ("a" * 300)
    assert_refused(run(command("--port", "0", "--models", str(place))), 1, str(place))


@pytest.mark.parametrize(
    "host",
    ["256.0.0.1", "nowhere.invalid", "a" * 100, "a..b", "192.0.2.1", "::1%nowhere"],
)
def test_hosts_that_cannot_be_listened_on(models: Path, host: str) -> None:
    """An invalid, unknown or foreign host is named."""
    ended = run(command("--port", "0", "--models", str(models), "--host", host))
    assert_refused(ended, 1, "cannot listen on")


@pytest.mark.parametrize("name", ["HOST", "STATE_KEY", "API_KEYS", "DEFAULT_CLASSIFIER", "PORT"])
def test_settings_that_are_no_text(models: Path, name: str) -> None:
    """Bytes that are not UTF-8 are refused as a bad option, in any setting."""
    variables = {f"UNROLL_{name}": os.fsdecode(b"\xff")}
    assert_refused(run(command("--models", str(models)), **variables), 2, f"UNROLL_{name}")


def test_a_port_that_two_have_bound(models: Path) -> None:
    """Of two services that start on one port at the same time, one reports that it is in use."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with socket.socket() as bound:  # as another service does while it loads its models
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        with bind_socket("127.0.0.1", port) as listener:
            bound.listen()
            with pytest.raises(BindError, match="in use"):
                listen(listener, 1)


def test_privileged_port(models: Path) -> None:
    """A port that only root may use is named, with the remedy."""
    words = [*command("--models", str(models), "--port", "1")]
    if os.getuid() == 0:
        words[1] += ",-net_bind_service"
    unprivileged = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if unprivileged.exists() and int(unprivileged.read_text()) <= 1:
        pytest.skip("everyone may take every port here")
    ended = run(words)
    assert_refused(ended, 1, "127.0.0.1:1")
    assert "--port" in ended.stderr


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("-n 8", "ulimit -n"), ("-n 40", "ulimit -n"), ("-v 100000", "ulimit -v")],
)
def test_limits_of_the_process(models: Path, limit: str, expected: str) -> None:
    """Too few file descriptors or too little memory end the start with an error line."""
    words = command("--port", "0", "--models", str(models))
    ended = run(["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", *words])
    assert_refused(ended, 1, expected)


def test_a_working_directory_that_has_gone(models: Path, tmp_path: Path) -> None:
    """The error names it; some libraries would crash."""
    gone = tmp_path / "gone"
    gone.mkdir()
    words = command("--port", "0", "--models", str(models))
    script = f'cd {gone}; rmdir {gone}; exec "$@"'
    ended = run(["sh", "-c", script, "sh", *words], PYTHONPATH=str(ROOT))
    assert_refused(ended, 1, "working directory")


def test_native_kernel_that_is_missing(models: Path) -> None:
    """--kernel native without the library reports how to build it."""
    words = command("--port", "0", "--models", str(models), "--kernel", "native")
    assert_refused(run(words, UNROLL_NATIVE_LIBRARY="/nowhere"), 1, "make native")


@contextlib.contextmanager
def started(words: Sequence[str], stdout: int | None = None) -> Iterator[str]:
    """The address of a service with any standard streams; ended by SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([*words, "--port", str(port)], cwd=ROOT, stdout=stdout)
    address = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, process.returncode
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{address}/health/ready", trust_env=False).status_code == 200
        return False

    try:
        eventually(ready, "the service is ready")
        yield address
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "redirection",
    [">&-", "2>&-", "<&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"],
)
def test_serves_whatever_its_streams_are(models: Path, redirection: str) -> None:
    """The service starts with a closed or full standard stream."""
    words = command("--models", str(models), "--default-language-model", "words")
    with started(["sh", "-c", f'exec "$@" {redirection}', "sh", *words]) as address:
        body = {"prompt": "the", "max_tokens": 2}
        answer = httpx.post(f"{address}/generate", json=body, trust_env=False, timeout=PATIENCE)
        assert answer.status_code == 200


@pytest.mark.parametrize("both", [False, True], ids=["stdout", "stdout and stderr"])
def test_serves_when_nobody_reads_its_output(models: Path, both: bool) -> None:
    """The service starts with a pipe without a reader, as in ``python -m service | true``."""
    reading, writing = os.pipe()
    os.close(reading)
    words = command("--models", str(models), "--default-language-model", "words")
    if both:
        words = ["sh", "-c", 'exec "$@" 2>&1', "sh", *words]
    with started(words, stdout=writing) as address:
        os.close(writing)
        assert httpx.get(f"{address}/models", trust_env=False).status_code == 200


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells of handlers by /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0])
def test_signals_end_the_start(number: signal.Signals, seconds: float) -> None:
    """A signal during the loading of libraries or models ends the process at once."""
    process = subprocess.Popen(
        command("--port", "0", "--models", "pretrained"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    eventually(lambda: _catches(process.pid, signal.SIGINT, signal.SIGTERM), "handlers are there")
    time.sleep(seconds)
    process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode in {0, 130}, output
    assert "Traceback" not in output


def _catches(process: int, *numbers: signal.Signals) -> bool:
    """Whether a process has handlers of its own for all of these signals."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    match = re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    assert match is not None
    return all(int(match[1], 16) >> (number - 1) & 1 for number in numbers)
