"""``python -m tests.readme.rewrite``: asks the service again and writes its answers into README.md.

Commands stay as they are, but for the beginning of a state token that one of them repeats.
"""

from __future__ import annotations

from tests.readme.asking import Reader
from tests.readme.examples import cut_as, examples, formatted, shown_state, with_state
from tests.support.repository import ROOT
from tests.support.service.process import RunningService


def rewritten(text: str, reader: Reader) -> str:
    """The text with every answer as the service gives it now."""
    lines = text.split("\n")
    written: list[str] = []
    done = 0
    for example in examples(text):
        if example.calls[0][0] != "curl":
            continue
        written += lines[done : example.line]
        written.append(with_state(example.command, shown_state(reader.state)))
        written += cut_as(example.answer, formatted(reader.ask(example)))
        done = example.line + 1 + len(example.answer)
    return "\n".join([*written, *lines[done:]])


def main() -> None:
    """Rewrites README.md in place."""
    readme = ROOT / "README.md"
    with RunningService(ROOT / "pretrained") as service:
        text = rewritten(readme.read_text(encoding="utf-8"), Reader(service.port))
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
