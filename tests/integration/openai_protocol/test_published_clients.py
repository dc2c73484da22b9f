"""LangChain's and `llm`'s clients, unchanged."""

from __future__ import annotations

from pathlib import Path

from tests.support.service.foreign_programs import client_program, run_program
from tests.support.service.process import RunningService

LANGCHAIN = """
import sys
from langchain_openai import OpenAI, OpenAIEmbeddings

url = sys.argv[1]
model = OpenAI(model="words", base_url=url, api_key="unused", temperature=0, max_tokens=6)
print(repr(model.invoke("The keys")))
print(repr(model.batch(["The keys", "A dog"])))
print(repr("".join(model.stream("The keys"))))
"""
MODELS = """
- model_id: unroll
  model_name: words
  api_base: {url}
  completion: true
"""


def test_langchain(service: RunningService, tmp_path: Path) -> None:
    """LangChain's completion model invokes, batches and streams."""
    script = tmp_path / "script.py"
    script.write_text(LANGCHAIN)
    url = f"http://127.0.0.1:{service.port}/v1"
    printed = run_program(client_program("python"), str(script), url, home=tmp_path)
    first, second = (
        service.text(model="words", prompt=prompt, temperature=0, max_tokens=6)
        for prompt in ("The keys", "A dog")
    )
    assert printed.splitlines() == [repr(first), repr([first, second]), repr(first)]


def test_llm(service: RunningService, tmp_path: Path) -> None:
    """The `llm` program completes a prompt, streamed and whole."""
    url = f"http://127.0.0.1:{service.port}/v1"
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(url=url))
    program = client_program("llm")
    expected = service.text(model="words", prompt="The keys", temperature=0, max_tokens=6)
    for more in ((), ("--no-stream",)):
        printed = run_program(
            program,
            *("-m", "unroll", "-o", "max_tokens", "6", "-o", "temperature", "0", *more),
            "The keys",
            home=tmp_path,
        )
        assert printed.rstrip("\n") == expected.rstrip("\n")
