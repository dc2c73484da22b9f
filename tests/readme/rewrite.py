"""``python -m tests.readme.rewrite``: requests all examples again and writes their answers.

Commands stay as they are, except for the beginning of a state token that a command repeats.
"""

from __future__ import annotations

from tests.readme.asking import Reader
from tests.readme.examples import cut_as, examples, formatted, shown_state, with_state
from tests.readme.pages import PAGES, requests
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
    """Rewrites the pages in place. Each page has a service of its own, so its cache is empty."""
    for page, text in PAGES.items():
        if requests(page):
            with RunningService(ROOT / "pretrained") as service:
                answered = rewritten(text, Reader(service.port))
            (ROOT / page).write_text(answered, encoding="utf-8")


if __name__ == "__main__":
    main()
