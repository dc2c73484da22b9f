"""Random changes to the files of an artifact, with valid digests, followed by loading and use.

It runs as a program, so that a crash ends this process and not the test runner: ``python -m
tests.support.service.artifact_fuzzing DIRECTORY EXAMPLES [--random]``, with artifacts named as in
CASES.
"""

from __future__ import annotations

import contextlib
import copy
import faulthandler
import hashlib
import json
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.artifact import load_artifact
from model.errors import CONTROL_CHARACTERS, ArtifactError
from service.engine.api.errors import EngineError
from service.engine.api.tasks import Classify, Failed, Generate, NextWord, Task
from service.engine.runners.engine import EngineOptions
from service.kernel.api.interface import Sampling
from tests.support.service.engine_client import serving

OPTIONS = EngineOptions(threads=1, rows=4, waiting=4, kernel="native")
Json = Any
Place = tuple[str | int, ...]

odd_texts = st.text(max_size=8) | st.sampled_from(
    ["[END]", "[UNK]", "\ud800", "\x00", "a\nb", "x" * 5000, "\u202e", "(a|a)*b", "É", "Ġ"]
)
odd_numbers = (
    st.integers(-3, 300)
    | st.floats()
    | st.sampled_from([2**31, 2**63, 2**64 + 1, -(2**63), 10**400, 1e308, 1e-308, 5e-324])
)
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | odd_numbers | odd_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=6,
)


def places(value: Json, place: Place = ()) -> Iterator[Place]:
    """All paths into a JSON value."""
    yield place
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*place, key))


@st.composite
def changed(draw: st.DrawFn, value: Json) -> Json:
    """The value with one to three places replaced, removed, added to or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        known = [place for place in places(value) if place]
        if not known:
            return value
        place = draw(st.sampled_from(known))
        parent = value
        for key in place[:-1]:
            parent = parent[key]
        match draw(st.sampled_from(["replace", "remove", "add", "exchange"])):
            case "replace":
                parent[place[-1]] = draw(values)
            case "remove":
                del parent[place[-1]]
            case "add" if isinstance(parent, dict):
                parent[draw(odd_texts)] = draw(values)
            case "add":
                parent.append(draw(values))
            case _:
                other = value
                for key in draw(st.sampled_from(known)):
                    other = other[key]
                parent[place[-1]] = copy.deepcopy(other)
    return value


def dumped(value: Json) -> str:
    """JSON, including numbers that JSON does not allow."""
    return json.dumps(value)


class Victim:
    """A directory whose files are rewritten for each example."""

    def __init__(self, original: Path, directory: Path) -> None:
        self._original = original
        self.directory = directory
        self.manifest: Json = json.loads((original / "manifest.json").read_text())
        self.tokenizer: Json = json.loads((original / "tokenizer.json").read_text())
        self.weights = (original / "weights.safetensors").read_bytes()

    def change_manifest(self, draw: Callable[[Any], Any]) -> None:
        """Any field; the digest of the fields is right."""
        self._write(draw(changed(self.manifest)), dumped(self.tokenizer), self.weights)

    def change_tokenizer(self, draw: Callable[[Any], Any]) -> None:
        """Any field, entry or merge; all digests are right."""
        self._write(self.manifest, dumped(draw(changed(self.tokenizer))), self.weights)

    def change_weights(self, draw: Callable[[Any], Any]) -> None:
        """The header, its length, or the numbers; all digests are right."""
        (length,) = struct.unpack_from("<Q", self.weights)
        header, numbers = self.weights[8 : 8 + length], bytearray(self.weights[8 + length :])
        if draw(st.booleans()):
            header = dumped(draw(changed(json.loads(header)))).encode("utf-8", "surrogatepass")
        length = draw(st.just(len(header)) | st.integers(0, 2**64 - 1) | st.integers(0, 4096))
        for _ in range(draw(st.integers(0, 4))):
            place = 4 * draw(st.integers(0, len(numbers) // 4 - 1))
            numbers[place : place + 4] = struct.pack("<f", draw(st.floats(width=32)))
        if draw(st.booleans()):
            del numbers[draw(st.integers(0, len(numbers))) :]
        self._write(
            self.manifest,
            dumped(self.tokenizer),
            struct.pack("<Q", length) + header + bytes(numbers),
        )

    def _write(self, manifest: Json, tokenizer: str, weights: bytes) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir()
        files = {
            "tokenizer.json": tokenizer.encode("utf-8", "surrogatepass"),
            "weights.safetensors": weights,
        }
        for name, raw in files.items():
            (self.directory / name).write_bytes(raw)
        if isinstance(manifest, dict):
            manifest = copy.deepcopy(manifest)
            if isinstance(manifest.get("files"), dict) and manifest is not self.manifest:
                for name, raw in files.items():
                    if name in manifest["files"]:
                        manifest["files"][name] = hashlib.sha256(raw).hexdigest()
            manifest.pop("sha256", None)
            text = json.dumps(manifest, sort_keys=True, ensure_ascii=False)
            digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
            manifest["sha256"] = digest
        (self.directory / "manifest.json").write_text(dumped(manifest), encoding="utf-8")


def try_it(directory: Path) -> str:
    """The artifact is refused with an ArtifactError on one line, or every task on it ends."""
    try:
        artifact = load_artifact(directory)
    except ArtifactError as error:
        if CONTROL_CHARACTERS.search(str(error)):
            raise AssertionError(str(error)) from error
        return "refused"
    with serving({"m": artifact}, OPTIONS) as opened:
        assert list(opened.engine.models) == ["m"]
        for task in tasks(artifact.manifest.kind):
            with contextlib.suppress(EngineError):
                last = opened.ask(task)[-1]
                assert not isinstance(last, Failed), last.error
    return "served"


def tasks(kind: str) -> tuple[Task, ...]:
    """A few tasks for the kind of model."""
    if kind == "classifier":
        return (Classify(model="m", texts=("The keys [END]", "", "’" * 50)),)
    return (
        Generate(model="m", prompt="The keys [END]", max_tokens=5, logprobs=20, echo=True),
        Generate(model="m", prompt="", max_tokens=5, sampling=Sampling(top_p=0.9, seed=3)),
        NextWord(model="m", prompt="The k", top=3),
    )


CASES: dict[str, tuple[Callable[[Victim, Callable[[Any], Any]], None], ...]] = {
    "word-gru-1": (Victim.change_manifest, Victim.change_tokenizer, Victim.change_weights),
    "char-gru-1": (Victim.change_tokenizer,),
    "bpe-gru-1": (Victim.change_tokenizer,),
    "classifier": (Victim.change_manifest, Victim.change_weights),
}


def main(originals: Path, examples: int, *, derandomize: bool) -> None:
    """Try a number of examples of each case and print how many were tried and how many were
    served.
    """
    faulthandler.enable()
    outcomes: list[str] = []
    for name, changes in CASES.items():
        victim = Victim(originals / name, originals / "changed")
        for change in changes:
            fuzz(victim, change, outcomes, examples, derandomize=derandomize)
    print(len(outcomes), outcomes.count("served"))  # noqa: T201


def fuzz(
    victim: Victim,
    change: Callable[[Victim, Callable[[Any], Any]], None],
    outcomes: list[str],
    examples: int,
    *,
    derandomize: bool,
) -> None:
    """One case."""

    @settings(
        deadline=None,
        max_examples=examples,
        derandomize=derandomize,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def attempt(data: st.DataObject) -> None:
        change(victim, data.draw)
        outcomes.append(try_it(victim.directory))

    attempt()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), derandomize=sys.argv[3:] != ["--random"])
