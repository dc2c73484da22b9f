"""The texts of a chunk as tokens, and batches of texts of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from model.tokenization.tokenizer import MAX_CHUNK_LENGTH, Tokenizer
from training.readers.sources import is_blank

Fields = dict[str, Any]
EMPTY = "the text is empty"
BATCH_TOKENS = 8192  # of a padded batch, padding included
BATCH_ROWS = 256


def encoded(
    tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int | None = None
) -> tuple[list[Fields], list[list[int]]]:
    """For each text its result so far, which is empty or an error, and its tokens.

    ``max_tokens``: tokens that matter; a few more may be returned, and show that there are more.
    """
    results: list[Fields] = [{"error": EMPTY} if is_blank(text) else {} for text in texts]
    tokens: list[list[int]] = [[] for _ in texts]
    short = [
        index
        for index, text in enumerate(texts)
        if not results[index] and len(text) <= MAX_CHUNK_LENGTH
    ]
    try:
        ids = tokenizer.encode_batch([texts[index] for index in short])
    except ValueError:  # one of them cannot be split into tokens
        short, ids = [], []
    for index, text_ids in zip(short, ids, strict=True):
        tokens[index] = text_ids
    done = set(short)
    for index, text in enumerate(texts):
        if index not in done and not results[index]:
            try:
                tokens[index] = tokenizer.encode(text, max_tokens)
            except ValueError as error:
                results[index] = {"error": str(error)}
    return results, tokens


def padded_batches(
    tokens: Sequence[Sequence[int]], results: Sequence[Fields]
) -> Iterator[list[int]]:
    """The indices of texts without a result in batches of similar length, bounded in size."""
    batch: list[int] = []
    for index in _by_length(tokens, results):
        longest = max(1, len(tokens[index]))
        if batch and (len(batch) >= BATCH_ROWS or longest * (len(batch) + 1) > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def row_batches(
    tokens: Sequence[Sequence[int]], results: Sequence[Fields], rows: int
) -> Iterator[list[int]]:
    """The indices of texts without a result, ``rows`` of similar length at a time."""
    indices = _by_length(tokens, results)
    return (indices[begin : begin + rows] for begin in range(0, len(indices), rows))


def _by_length(tokens: Sequence[Sequence[int]], results: Sequence[Fields]) -> list[int]:
    indices = [index for index, result in enumerate(results) if not result]
    return sorted(indices, key=lambda index: len(tokens[index]))
