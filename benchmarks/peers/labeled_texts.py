"""Options, input and output of the peer classifiers.

They read the files of `python -m training classifier`: JSON lines with "text" and "label".
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Texts(NamedTuple):
    """Texts and their labels."""

    texts: list[str]
    labels: list[str]


def peer_options(program: str) -> argparse.Namespace:
    """Parses the options of a peer: splits, minutes, threads, seed and the file of answers."""
    parser = argparse.ArgumentParser(prog=program)
    for split in ("train", "valid", "test"):
        parser.add_argument(f"--{split}", type=Path, nargs="+", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--answers", type=Path, required=True, help="one label for each test text")
    return parser.parse_args()


def read_texts(files: Sequence[Path]) -> Texts:
    """All examples of the files. Only line feeds end a line; texts may have other separators."""
    lines = [line for file in files for line in file.read_text(encoding="utf-8").split("\n")]
    records = [json.loads(line) for line in lines if line]
    return Texts(
        [record["text"] for record in records], [str(record["label"]) for record in records]
    )


def write_answers(path: Path, answers: Sequence[str]) -> None:
    """Writes the answers as a JSON list, in the order of the test texts."""
    path.write_text(json.dumps(list(answers)), encoding="utf-8")
