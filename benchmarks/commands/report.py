"""`report`: writes measured results into docs/performance.md."""

import argparse
import json
import shutil
from pathlib import Path

from benchmarks.harness.command import RESULTS_DIRECTORY, ROOT
from benchmarks.reports.page import FIGURE, blocks_of, content_of, render

NAME = "report"
HELP = "write measured results into docs/performance.md"
QUICK: dict[str, object] = {}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `report`."""
    parser.add_argument(
        "--results", type=Path, default=RESULTS_DIRECTORY, help="directory of the results"
    )
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="directory of the page")


def run(args: argparse.Namespace) -> None:
    """Merges the results into performance.json, and renders performance.md from it.

    Measurements without a new result keep the one that the page has.
    """
    page, kept = args.docs / "performance.md", args.docs / "performance.json"
    text = page.read_text(encoding="utf-8")
    results = json.loads(kept.read_text(encoding="utf-8"))
    written = []
    for name in blocks_of(text):
        source = args.results / f"{name}.json"
        if not source.exists():
            continue
        figure = source.with_suffix(".png")
        content = json.loads(source.read_text(encoding="utf-8"))
        if "tables" not in content:
            raise SystemExit(f"{source}: expected a field tables; measure {name} again")
        results[name] = content_of(content, has_figure=figure.exists())
        if figure.exists():
            shutil.copyfile(figure, args.docs / FIGURE.format(name=name))
        written.append(name)
    kept.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    page.write_text(render(text, results), encoding="utf-8")
    print(f"{page}: {', '.join(written) or f'no results in {args.results}'}")
