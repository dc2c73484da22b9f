"""The texts of a vocabulary's tokens, searched by prefix."""

from __future__ import annotations

import bisect
from collections.abc import Mapping

import numpy as np

from service.kernel.api.filters import IdArray


class PrefixIndex:
    """Sorted token texts in UTF-8, with their ids. Two tokens may have the same text.

    Example:
        >>> index = PrefixIndex({1: b" the", 2: b" they", 3: b"the"})
        >>> index.starting_with(b" th").tolist()
        [1, 2]
        >>> index.prefixes_of(b" they").tolist()
        [1]
    """

    def __init__(self, text_of: Mapping[int, bytes]) -> None:
        entries = sorted((text, token) for token, text in text_of.items())
        self._texts = [text for text, _ in entries]
        self._ids_N = np.array([token for _, token in entries], dtype=np.int64)

    def __contains__(self, text: bytes) -> bool:
        """Whether a token has exactly this text."""
        begin = bisect.bisect_left(self._texts, text)
        return begin < len(self._texts) and self._texts[begin] == text

    def starting_with(self, prefix: bytes) -> IdArray:
        """Tokens whose text begins with the prefix or equals it, by id."""
        begin = bisect.bisect_left(self._texts, prefix)
        end = bisect.bisect_left(
            self._texts, True, key=lambda text: not text.startswith(prefix), lo=begin
        )
        return np.sort(self._ids_N[begin:end])

    def prefixes_of(self, text: bytes) -> IdArray:
        """Tokens whose text is a proper prefix of this one and not empty, by id."""
        tokens: list[int] = []
        for length in range(1, len(text)):
            begin = bisect.bisect_left(self._texts, text[:length])
            end = bisect.bisect_right(self._texts, text[:length], lo=begin)
            tokens += self._ids_N[begin:end].tolist()
        return np.array(sorted(tokens), dtype=np.int64)
