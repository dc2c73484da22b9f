"""The examples of a Markdown file: commands in ``sh`` blocks, each with the answer below it.

In an answer floating-point numbers have four digits, ids and times of the OpenAI protocol are
fixed, the blank lines of a stream are left out, and " ..." stands for the rest of a line. The line
``<!-- not run: REASON -->`` above a block marks commands that no test can run.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

PROGRAMS = ("curl", "docker", "make", "python", ".venv/bin/python", "torchrun")
CUT = " ..."
NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->")
STATE_SHOWN = 12
"""Characters of a state token that are printed."""
DIGITS = 4
CREATED = 1767225600
COMPLETION_ID = "cmpl-1f4c8f7e"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the number of its first line and its lines.

    ``not_run`` is the reason why no test runs it; empty for the others.
    """

    language: str
    start: int
    lines: tuple[str, ...]
    not_run: str = ""


@dataclass(frozen=True)
class Example:
    """A command, the number of its line, and the lines of its answer, which follow."""

    command: str
    line: int
    answer: tuple[str, ...]

    @property
    def calls(self) -> list[list[str]]:
        """The words of each command that `&&` joins; comments are left out."""
        words = shlex.split(self.command, comments=True)
        calls: list[list[str]] = [[]]
        for word in words:
            if word == "&&":
                calls.append([])
            else:
                calls[-1].append(word)
        return calls


def blocks(text: str) -> Iterator[Block]:
    """All fenced blocks of a Markdown text."""
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if line.startswith("```")]
    for opening, closing in zip(fences[::2], fences[1::2], strict=True):
        language = lines[opening].removeprefix("```").strip()
        mark = NOT_RUN.fullmatch(lines[opening - 1]) if opening else None
        inside = tuple(lines[opening + 1 : closing])
        yield Block(language, opening + 1, inside, mark[1] if mark else "")


def examples(text: str) -> list[Example]:
    """All commands of a text that are run, in their order, with their answers."""
    commands: list[Example] = []
    for block in blocks(text):
        if block.language != "sh" or block.not_run:
            continue
        starts = [n for n, line in enumerate(block.lines) if line.split(" ")[0] in PROGRAMS]
        for start, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
            answer = tuple(line for line in block.lines[start + 1 : end] if line)
            commands.append(Example(block.lines[start], block.start + start, answer))
    return commands


def formatted(answer: str) -> list[str]:
    """The lines of an answer as the documentation prints them."""
    return [_formatted_line(line) for line in answer.split("\n") if line]


def cut_as(old: tuple[str, ...], new: list[str]) -> list[str]:
    """The new answer, cut off where the old one is."""
    if len(old) == 1 and old[0].endswith(CUT):
        length = len(old[0]) - len(CUT)
        return [new[0][:length] + CUT]
    return new


def difference(expected: tuple[str, ...], actual: list[str]) -> str:
    """The first difference between two answers in words; empty where they agree."""
    if len(expected) == 1 and expected[0].endswith(CUT):
        beginning = expected[0].removesuffix(CUT)
        if any(line.startswith(beginning) for line in actual):
            return ""
        return f"no line begins with {beginning!r}"
    if len(expected) != len(actual):
        return f"{len(expected)} lines expected, {len(actual)} came"
    lines = zip(expected, actual, strict=True)
    return next(filter(None, (_line_difference(*pair) for pair in lines)), "")


def with_state(command: str, state: str) -> str:
    """The command with a whole state token in place of a shortened one."""
    return re.sub(r'("state": ")[^"]* \.\.\.(?=")', lambda match: match[1] + state, command)


def shown_state(state: str) -> str:
    """The part of a state token that is printed."""
    return state[:STATE_SHOWN] + CUT


def _formatted_line(line: str) -> str:
    prefix, value = _parsed(line)
    if value is None:
        return line
    text = json.dumps(_shortened(value), separators=(",", ":"), ensure_ascii=False)
    return prefix + text


def _parsed(line: str) -> tuple[str, Any]:
    """The prefix of a server-sent event and the JSON of a line; None where it holds none."""
    prefix = "data: " if line.startswith("data: ") else ""
    if not line.removeprefix(prefix).startswith("{"):
        return "", None
    return prefix, json.loads(line.removeprefix(prefix))


def _shortened(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, dict):
        return {
            name: shown_state(item) if name == "state" else _shortened(item)
            for name, item in (value | _fixed(value)).items()
        }
    return value


def _fixed(value: dict[str, Any]) -> dict[str, Any]:
    """Replacements for the fields of the OpenAI protocol that differ in every answer."""
    fixed: dict[str, Any] = {"created": CREATED} if "created" in value else {}
    return fixed | {"id": COMPLETION_ID} if value.get("object") == "text_completion" else fixed


def _line_difference(expected: str, actual: str) -> str:
    prefix = "data: " if expected.startswith("data: ") else ""
    if not expected.removeprefix(prefix).startswith("{"):
        return "" if expected == actual else f"{expected!r} expected, {actual!r} came"
    if not actual.startswith(prefix + "{"):
        return f"JSON expected, {actual!r} came"
    expected_value, actual_value = (
        json.loads(line.removeprefix(prefix), parse_float=Decimal) for line in (expected, actual)
    )
    return _value_difference(expected_value, actual_value, "answer")


def _value_difference(expected: Any, actual: Any, place: str) -> str:
    if isinstance(expected, dict) and isinstance(actual, dict) and expected.keys() == actual.keys():
        pairs = [(expected[name], actual[name], f"{place}.{name}") for name in expected]
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = [
            (*items, f"{place}[{index}]")
            for index, items in enumerate(zip(expected, actual, strict=True))
        ]
    elif _same(expected, actual):
        return ""
    else:
        return f"{place}: {expected} expected, {actual} came"
    return next(filter(None, (_value_difference(*pair) for pair in pairs)), "")


def _same(expected: Any, actual: Any) -> bool:
    """Equal; numbers as far as they are printed."""
    if isinstance(expected, Decimal) and isinstance(actual, Decimal | int):
        unit = Decimal(1).scaleb(int(expected.as_tuple().exponent))
        return abs(expected - actual) <= unit * Decimal("0.51")
    return type(expected) is type(actual) and bool(expected == actual)
