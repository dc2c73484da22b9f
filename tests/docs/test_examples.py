"""The programs in examples/ run unchanged, with a real service and a real training run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.readme.small_inputs import write_small_inputs
from tests.support.repository import ROOT
from tests.support.service.process import RunningService

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a service of the pretrained models."""
    with RunningService(ROOT / "pretrained") as service:
        yield f"http://127.0.0.1:{service.port}"


def output_of(*command: str, given: str | None = None, **environment: str) -> str:
    """Standard output of a command that succeeds; proxies of the machine are left out."""
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_PROXY": "*", "PYTHONPATH": str(ROOT), **environment},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_requests_with_curl(address: str) -> None:
    """The stream joins to the continuation of the same request without a stream."""
    lines = output_of("sh", str(EXAMPLES / "generate.sh"), UNROLL_URL=address).splitlines()
    next_words, continuation = [json.loads(line) for line in lines if line.startswith("{")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data")]
    assert len(next_words["words"]) == 3
    assert continuation["choices"][0]["text"] == "".join(event.get("text", "") for event in events)


def test_client_in_python(address: str) -> None:
    """The resumed text is the streamed one, and the review is positive."""
    lines = output_of(sys.executable, str(EXAMPLES / "client.py"), UNROLL_URL=address).splitlines()
    streamed, label, resumed = lines
    assert streamed == resumed
    assert label.startswith("positive (")


def test_many_texts_with_asyncio(address: str) -> None:
    """Each line has its label, in order; an address without a service is left out."""
    texts = "A warm and funny film.\n\nA dull and endless film.\n"
    program, urls = str(EXAMPLES / "many_texts.py"), f"http://127.0.0.1:9 {address}"
    lines = output_of(sys.executable, program, given=texts, UNROLL_URL=urls).splitlines()
    assert [line.split("\t")[0] for line in lines] == ["positive", "negative"]


def test_the_openai_client(address: str) -> None:
    """The stream joins to the continuation; the sentence has its log-probabilities."""
    program = str(EXAMPLES / "openai_client.py")
    whole, streamed, scored = output_of(sys.executable, program, UNROLL_URL=address).splitlines()
    assert whole == streamed
    assert scored.startswith("[('We', None), (' the', -")


def test_nearest_neighbors(address: str) -> None:
    """Each request is nearest to the known one with its meaning."""
    program = str(EXAMPLES / "neighbors.py")
    lines = output_of(sys.executable, program, UNROLL_URL=address).splitlines()
    nearest = [line.partition(": ")[2].rpartition(" (")[0] for line in lines]
    assert nearest == [
        "play some jazz",
        "set an alarm for six in the morning",
        "will it rain tomorrow",
    ]


@pytest.mark.slow
def test_training_in_python(tmp_path: Path) -> None:
    """The program trains, loads its artifact and prints a text of the training characters."""
    write_small_inputs(tmp_path)
    source, directory = tmp_path / "mytext.txt", tmp_path / "model"
    program = str(EXAMPLES / "train.py")
    options = ("--steps", "20", "--threads", "1")
    printed = output_of(sys.executable, program, str(source), str(directory), *options)
    assert (directory / "manifest.json").is_file()
    text = printed.splitlines()[-1]
    assert text
    assert set(text) <= set(source.read_text(encoding="utf-8"))


def test_text_with_onnx_runtime(tmp_path: Path) -> None:
    """An exported model continues a prompt with characters that it knows."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    file, model = str(tmp_path / "model.onnx"), str(ROOT / "pretrained" / "shakespeare-char")
    output_of(sys.executable, "-m", "training", "export", model, "--onnx", file)
    printed = output_of(sys.executable, str(EXAMPLES / "onnx_text.py"), file, "ROMEO:")
    assert printed.startswith("ROMEO:\n")
    assert len(printed) > 100


def test_every_example_is_listed() -> None:
    """The page of examples names each program."""
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    programs = [path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".sh"}]
    assert len(programs) == 7
    assert all(f"| `{name}` |" in page for name in programs)
