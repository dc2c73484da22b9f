"""No example that is shown has a word that the pretrained models do not know.

An unknown word makes a prediction poor and a score too high, so an example with one shows nothing.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from docs.generate.openapi import document
from model.manifest import MANIFEST_FILE
from model.tokenization.tokenizer import Tokenizer
from tests.readme.examples import Example, blocks
from tests.readme.pages import PAGES
from tests.support.repository import ROOT

PRETRAINED = ROOT / "pretrained"
LANGUAGE_MODEL, CLASSIFIER = "english-word", "sentiment"
TEXT_FIELDS = ("prompt", "text", "texts", "prefix", "first", "second", "target")
# What follows another text: its words are known with a space before them.
FOLLOWING_FIELDS = ("continuation", "continuations")
CODE = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "examples").glob("*.sh")])
CODE_TEXT = re.compile(r'"?(prompt|texts?)"?[ ]?[=:] *\[?"([^"\n]+)"')
# Examples whose subject is an unknown word, and why.
EXCEPTIONS = {'{"prompt": "The Uni", "top": 3}': "half a word, which /next-word completes"}


@functools.cache
def tokenizer(model: str) -> Tokenizer:
    """The tokenizer of a pretrained model."""
    return Tokenizer.load(PRETRAINED / model / "tokenizer.json")


def unknown_words(body: dict[str, Any], route: str) -> list[str]:
    """The unknown words in the texts of a request."""
    default = CLASSIFIER if route == "/classify" else LANGUAGE_MODEL
    known = tokenizer(body.get("model") or default)
    return [
        piece.text
        for field in (*TEXT_FIELDS, *FOLLOWING_FIELDS)
        for text in _texts(body.get(field))
        for piece in known.pieces(text)
        if known.unknown is not None and piece.id == known.unknown
    ]


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def requests_shown(page: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Route and body of every curl command with a JSON body, of blocks that are not run, too."""
    for block in blocks(PAGES[page]):
        if block.language != "sh":
            continue
        for line in block.lines:
            if not line.startswith("curl "):
                continue
            (words,) = Example(line, 0, ()).calls
            route = next(word for word in words if word.startswith("http")).partition(":8000")[2]
            bodies = [word for word in words if word.startswith("{")]
            # A model of the reader's own has words that are not known here.
            yield from (
                (route, request)
                for request in map(json.loads, bodies)
                if "model" not in request or (PRETRAINED / request["model"]).is_dir()
            )


@pytest.mark.parametrize("page", [page for page in PAGES if "curl " in PAGES[page]])
def test_requests_of_the_pages_have_known_words(page: str) -> None:
    """Every text of every curl command is known to the model that answers it."""
    unknown = {
        json.dumps(body): words
        for route, body in requests_shown(page)
        if (words := unknown_words(body, route)) and json.dumps(body) not in EXCEPTIONS
    }
    assert unknown == {}


def test_requests_of_the_interface_description_have_known_words() -> None:
    """The examples of the request schemas are what /docs sends."""
    paths = document()["paths"]
    unknown = {}
    schemas = document()["components"]["schemas"]
    for route, methods in paths.items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
        for body in schemas.get(reference.rpartition("/")[2], {}).get("examples", []):
            if words := unknown_words(body, route):
                unknown[route] = words
    assert unknown == {}


@pytest.mark.parametrize("path", CODE, ids=[path.name for path in CODE])
def test_programs_of_the_examples_have_known_words(path: Any) -> None:
    """Prompts are known to the default language model, other texts to the default classifier."""
    for field, text in CODE_TEXT.findall(path.read_text(encoding="utf-8")):
        route = "/generate" if field == "prompt" else "/classify"
        assert unknown_words({"prompt": text}, route) == [], text


def test_traced_sentences_have_known_words() -> None:
    """Sentences of `agreement --trace` are read after a full stop, with a capital letter."""
    traced = re.compile(r"agreement pretrained/([\w-]+) .*--trace \"([^\"]+)\"")
    for page, text in PAGES.items():
        for model, sentence in traced.findall(text):
            read = f" {sentence[:1].upper()}{sentence[1:]}"
            assert unknown_words({"model": model, "prompt": read}, "") == [], page


def test_the_default_models_are_those_of_the_service() -> None:
    """The first model of a kind by name answers where none is given."""
    kinds: dict[str, list[str]] = {}
    for directory in sorted(PRETRAINED.iterdir()):
        manifest = json.loads((directory / MANIFEST_FILE).read_text())
        kinds.setdefault(manifest["kind"], []).append(directory.name)
    assert kinds["language-model"][0] == LANGUAGE_MODEL
    assert kinds["classifier"][0] == CLASSIFIER


def test_samples_of_the_playground_have_known_words() -> None:
    """The texts that a click fills in are known to their model."""
    page = (ROOT / "service" / "playground" / "index.html").read_text(encoding="utf-8")
    samples = re.findall(r'data-model="([\w-]+)" data-text="([^"]+)"', page)
    assert samples
    for model, text in samples:
        # A list of words is shown word by word, so its first one may need a space before it.
        texts = [lead + html.unescape(text) for lead in ("", "the ")]
        assert [] in [unknown_words({"model": model, "prompt": one}, "") for one in texts], text
