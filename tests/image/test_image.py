"""The image runs without privileges, serves the pretrained models and ends on SIGTERM."""

from __future__ import annotations

import re
import time

import pytest

from service.backend.settings import Settings
from tests.image.container import Container
from tests.image.engine import Engine
from tests.support.repository import ROOT

# The first test waits for the build.
pytestmark = pytest.mark.timeout(1500)

COMPILERS = ("c++", "cc", "g++", "gcc", "clang", "clang++", "ld", "as", "make")
WRITE = """
import pathlib, sys
for directory in sys.argv[1:]:
    try:
        pathlib.Path(directory, "written").write_text("x")
        print(directory)
    except OSError:
        pass
"""


def test_generates(container: Container) -> None:
    """/generate goes on from a prompt with the default language model."""
    body = {"prompt": "The people of the United", "max_tokens": 3, "temperature": 0}
    answer = container.ask("/generate", **body)
    assert answer["model"] == "english-word"
    assert answer["choices"][0]["text"].startswith(" States")
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3


def test_classifies(container: Container) -> None:
    """/classify labels a text with the default classifier."""
    answer = container.ask("/classify", text="A warm and funny film.")
    assert answer["model"] == "sentiment"
    assert answer["results"][0]["label"] == "positive"
    assert answer["results"][0]["confidence"] > 0.5


def test_serves_all_pretrained_models(container: Container) -> None:
    """The image holds every pretrained model and refuses none."""
    names = {model["name"] for model in container.ask("/models")["models"]}
    assert names == {path.parent.name for path in (ROOT / "pretrained").glob("*/manifest.json")}


def test_runs_without_privileges(container: Container) -> None:
    """The process is not root, has no capability and cannot gain one."""
    status = container.execute("cat", "/proc/1/status")
    fields = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert set(fields["Uid"].split()) == {"10001"}
    assert set(fields["Gid"].split()) == {"10001"}
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == 0, name
    assert fields["NoNewPrivs"] == "1"


def test_writes_nowhere_but_in_its_tmpfs(container: Container) -> None:
    """The root file system is read-only, the models included."""
    places = ["/", "/models", "/opt/unroll", "/var", "/etc", "/tmp"]
    assert container.python(WRITE, *places).split() == ["/tmp"]


def test_holds_no_compiler(container: Container) -> None:
    """The compiler of the native kernel is in the build stage only."""
    script = 'for name; do command -v "$name"; done; true'
    assert container.execute("sh", "-c", script, "sh", *COMPILERS) == ""


def test_holds_no_training(container: Container) -> None:
    """The image lacks the package `training`, and the commands of `unroll` that need it name it."""
    script = "unroll train lm 2>&1; echo $?"
    printed = container.execute("sh", "-c", script)
    assert "needs the package 'training'" in printed
    assert printed.endswith("\n2\n")
    assert container.execute("unroll", "--version").startswith("unroll ")


def test_serves_with_the_native_kernel(container: Container) -> None:
    """The library was built for the image, and the service has it in its memory."""
    assert "libunroll.so" in container.execute("cat", "/proc/1/maps")


def test_threads_follow_the_quota(container: Container) -> None:
    """With one CPU granted by the engine, the service computes with one thread."""
    asked = "from service.backend.settings import Settings; print(Settings().thread_count)"
    assert container.python(asked).strip() == "1"


def test_logs_no_warning(container: Container) -> None:
    """A start in a locked-in container gives nothing to complain about."""
    log = container.engine.logs(container.name)
    assert "Traceback" not in log
    assert "ERROR" not in log


def test_ends_on_sigterm(engine: Engine, image: str) -> None:
    """SIGTERM to the container's first process ends it with status 0 within the drain time."""
    started = Container(engine, engine.start(image))
    started.wait_until_healthy()
    patience = Settings().drain_seconds
    began = time.monotonic()
    engine.run("stop", "--time", str(int(patience)), started.name)
    assert time.monotonic() - began < patience
    assert engine.inspect(started.name)["State"]["ExitCode"] == 0
