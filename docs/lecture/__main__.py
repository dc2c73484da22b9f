"""``python -m docs.lecture NAME``: makes a figure of the book and prints its numbers.

``all --renew`` writes figures, numbers in the pages and the notebook again (`make lecture`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from docs.lecture.book import CHAPTERS
from docs.lecture.drawing import adaptive_svg
from docs.lecture.pages import FIGURES, numbers_of, renew_pages
from docs.lecture.show import NAMES, Shown, make


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.lecture", description=__doc__)
    parser.add_argument("name", choices=[*NAMES, "all"], help="page, museum-N, or all")
    parser.add_argument(
        "--out", type=Path, default=Path("build/lecture"), help="directory of the figures"
    )
    parser.add_argument("--quick", action="store_true", help="a few steps, for a first look")
    parser.add_argument("--renew", action="store_true", help="write into docs/ (with all)")
    parser.add_argument("--check", action="store_true", help="compare with the committed numbers")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if a claim does not hold or a number differs."""
    options = build_parser().parse_args(arguments)
    if options.renew and (options.quick or options.name != "all"):
        build_parser().error("--renew: give it with all, and without --quick")
    out, failed = FIGURES if options.renew else options.out, []
    out.mkdir(parents=True, exist_ok=True)
    for name in NAMES if options.name == "all" else (options.name,):
        shown = make(name, quick=options.quick)
        _write(out, name, shown, png=not options.renew)
        _print(shown)
        failed += [f"{name}: not true: {claim}" for claim, true in shown.claims.items() if not true]
        if options.check and name in CHAPTERS:
            differences = CHAPTERS[name].differences(shown.numbers, numbers_of(name))
            hint = ["if the new numbers are right, run `make lecture`"] if differences else []
            failed += differences + hint
    if options.renew:
        renew_pages()
    print("\n".join(failed), file=sys.stderr, end="\n" if failed else "")
    return 1 if failed else 0


def _write(out: Path, name: str, shown: Shown, *, png: bool) -> None:
    """The drawing as SVG and the numbers as JSON, and with ``png`` the drawing as PNG."""
    (out / f"{name}.svg").write_bytes(adaptive_svg(shown.plot))
    text = json.dumps(shown.numbers, ensure_ascii=False)
    (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    if png:
        (out / f"{name}.png").write_bytes(shown.plot.png)
        print(f"{out / name}.svg, .png and .json")


def _print(shown: Shown) -> None:
    """What is a single number or text, and the claims."""
    for key, value in shown.numbers.items():
        if isinstance(value, int | float | str):
            print(f"  {key}: {value}")
        elif isinstance(value, dict) and all(isinstance(v, int | float) for v in value.values()):
            print(f"  {key}: {', '.join(f'{k} {v}' for k, v in value.items())}")
    if "symptoms" in shown.numbers:
        for key, (faulty, cured) in shown.numbers["symptoms"].items():
            print(f"  {key}: run A {faulty}, run B {cured}")
    for claim, true in shown.claims.items():
        print(f"  {'true' if true else 'NOT TRUE'}: {claim}", file=sys.stdout)


if __name__ == "__main__":
    sys.exit(main())
