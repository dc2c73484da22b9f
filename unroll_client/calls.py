"""Each route as a call: its path, its body, and the decoding of its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from unroll_client.decoding import decode, decode_list
from unroll_client.errors import MalformedAnswerError
from unroll_client.options import GenerateOptions, classify_body, generate_body, given
from unroll_client.results import (
    ClassifiedText,
    EmbeddedText,
    Generation,
    InspectedText,
    NextWords,
    ScoredText,
    ServedModel,
    TokenIds,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RouteCall(Generic[T]):
    """A request and the decoding of its answer. ``body``: None for GET."""

    path: str
    body: dict[str, Any] | None
    decode: Callable[[Any], T]


def models() -> RouteCall[list[ServedModel]]:
    """GET /models."""
    return RouteCall(
        "/models", None, lambda answer: decode_list(ServedModel, _member(answer, "models"))
    )


def model(name: str) -> RouteCall[ServedModel]:
    """GET /models/{name}."""
    path = "/models/" + quote(name, safe="")
    return RouteCall(path, None, lambda answer: decode(ServedModel, answer))


def generate(prompt: str, options: GenerateOptions) -> RouteCall[Generation]:
    """POST /generate."""
    body = generate_body(prompt, options)
    return RouteCall("/generate", body, lambda answer: decode(Generation, answer))


def next_word(prompt: str, fields: dict[str, Any]) -> RouteCall[NextWords]:
    """POST /next-word."""
    body = {"prompt": prompt, **given(fields)}
    return RouteCall("/next-word", body, lambda answer: decode(NextWords, answer))


def score(texts: Sequence[str], fields: dict[str, Any]) -> RouteCall[list[ScoredText]]:
    """POST /score."""
    return RouteCall(
        "/score", {"texts": list(texts), **given(fields)}, _results(ScoredText, len(texts))
    )


def classify(texts: Sequence[str], fields: dict[str, Any]) -> RouteCall[list[ClassifiedText]]:
    """POST /classify for several texts."""
    return RouteCall(
        "/classify", classify_body(texts, fields), _results(ClassifiedText, len(texts))
    )


def classify_one(text: str, fields: dict[str, Any]) -> RouteCall[ClassifiedText]:
    """POST /classify for one text."""
    results = _results(ClassifiedText, 1)
    return RouteCall("/classify", classify_body(text, fields), lambda answer: results(answer)[0])


def embed(texts: Sequence[str], fields: dict[str, Any]) -> RouteCall[list[EmbeddedText]]:
    """POST /embed."""
    body = {"texts": list(texts), **given(fields)}
    return RouteCall("/embed", body, _results(EmbeddedText, len(texts)))


def tokenize(text: str, fields: dict[str, Any]) -> RouteCall[TokenIds]:
    """POST /tokenize."""
    body = {"prompt": text, **given(fields)}
    return RouteCall("/tokenize", body, lambda answer: decode(TokenIds, answer))


def detokenize(tokens: Sequence[int], fields: dict[str, Any]) -> RouteCall[str]:
    """POST /detokenize."""
    body = {"tokens": list(tokens), **given(fields)}
    return RouteCall("/detokenize", body, lambda answer: str(_member(answer, "prompt")))


def inspect(text: str, fields: dict[str, Any]) -> RouteCall[InspectedText]:
    """POST /inspect."""

    def decoded(answer: Any) -> InspectedText:
        return decode(InspectedText, {**_object(answer), "fields": answer})

    return RouteCall("/inspect", {"text": text, **given(fields)}, decoded)


def inspect_by(route: str, fields: dict[str, Any]) -> RouteCall[dict[str, Any]]:
    """POST of a route below /inspect."""
    return RouteCall(f"/inspect/{route}", given(fields), _object)


def _results(kind: type[T], count: int) -> Callable[[Any], list[T]]:
    def decoded(answer: Any) -> list[T]:
        results = decode_list(kind, _member(answer, "results"))
        if len(results) != count:
            raise MalformedAnswerError(f"expected {count} results, got {len(results)}")
        return results

    return decoded


def _member(answer: Any, name: str) -> Any:
    return _object(answer).get(name)


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise MalformedAnswerError(f"expected a JSON object, got {answer!r:.80}")
    return answer
