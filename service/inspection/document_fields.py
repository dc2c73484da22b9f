"""A document as a classifier reads it, as the fields of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from model.tokenization.tokenizer import Tokenizer
from service.engine.api.errors import InvalidTask
from service.inspection.cancellation import Cancellation
from service.inspection.classifier import ClassifierInspector, DocumentReading
from service.inspection.queries import DocumentQuery
from service.inspection.text_fields import unknown_mark

MOST_REMOVED = 8  # tokens that the search for a nearest change leaves out
MOST_PREFIX_TOKENS = 200_000  # that are read for one answer


def document_fields(
    inspector: ClassifierInspector, query: DocumentQuery, cancellation: Cancellation
) -> dict[str, Any]:
    """The fields of an answer about a document.

    Raises:
        InvalidTask: too many prefixes for a text of this length.
        InspectionCancelled: see :class:`Cancellation`.
    """
    pieces = inspector.pieces(query.text, "text")
    if query.prefixes * len(pieces) > MOST_PREFIX_TOKENS:
        message = (
            f"the text has {len(pieces)} tokens, so at most "
            f"{MOST_PREFIX_TOKENS // len(pieces)} prefixes of it are read"
        )
        raise InvalidTask("prefixes", message)
    reading = inspector.read(query.text, query.prefixes, cancellation)
    tokens = _document_tokens(reading, inspector.tokenizer, inspector.answers)
    fields: dict[str, Any] = {
        "tokens": tokens,
        "unknown_tokens": sum("unknown" in token for token in tokens),
    }
    if reading.attribution is not None:
        fields["attribution"] = {
            "label": inspector.answers[reading.attribution.label],
            "other": inspector.answers[reading.attribution.other],
            "total": reading.attribution.total,
            "baseline": reading.attribution.baseline,
            "completeness_gap": reading.attribution.gap,
        }
    if query.nearest_change:
        change = inspector.nearest_change(query.text, MOST_REMOVED, cancellation)
        if change is not None:
            fields["nearest_change"] = {
                "removed": [reading.pieces[place].text for place in change.removed],
                "positions": change.removed,
                "label": inspector.answers[change.answer],
                "score": change.probability,
            }
    return fields


def _document_tokens(
    reading: DocumentReading, tokenizer: Tokenizer, answers: Sequence[str]
) -> list[dict[str, Any]]:
    tokens: list[dict[str, Any]] = [
        {"text": piece.text, **unknown_mark(piece, tokenizer)} for piece in reading.pieces
    ]
    for length, probability_A in zip(reading.lengths, reading.probability_NA, strict=True):
        if tokens:
            ranked = sorted(zip(answers, probability_A.tolist(), strict=True), key=lambda p: -p[1])
            tokens[length - 1]["scores"] = [{"label": a, "score": p} for a, p in ranked]
    if reading.attribution is not None:
        sums = (reading.attribution.network_T + reading.attribution.linear_T).tolist()
        for token, contribution in zip(tokens, sums, strict=False):
            token["contribution"] = contribution
    return tokens
