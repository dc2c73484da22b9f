"""Detection of stop strings in text that arrives in pieces; no part of a stop string is released.

Each stop string has an automaton (Knuth, Morris and Pratt, 1977). Its state is the length of the
longest suffix of the text that is a prefix of the stop string, so the work per character does not
grow with the length of the strings. The stop string that is complete first ends the text; of those
complete at the same character, the longest. The result depends on the text alone, not on its
division into tokens.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Releases text up to the first stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        if "" in stops:
            raise ValueError("stop: an empty string would end every text at once")
        self._automata = [_Automaton(stop) for stop in stops]
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Add text and return the text that may be shown. A match sets ``stopped`` and drops the
        rest.
        """
        if self.stopped:
            return ""
        if not self._automata:
            return text
        waiting = self._held + text
        for index in range(len(self._held), len(waiting)):
            complete = [a.length for a in self._automata if a.advance(waiting[index])]
            if complete:
                self.stopped = True
                self._held = ""
                return waiting[: index + 1 - max(complete)]
        shown = len(waiting) - max(automaton.matched for automaton in self._automata)
        self._held = waiting[shown:]
        return waiting[:shown]

    @property
    def holding(self) -> bool:
        """Whether some text is held back."""
        return bool(self._held)

    @property
    def held(self) -> int:
        """The number of characters that are held back."""
        return len(self._held)

    def flush(self) -> str:
        """The text that was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held


class _Automaton:
    def __init__(self, stop: str) -> None:
        self._stop = stop
        self._shorter = _borders(stop)
        self.length = len(stop)
        self.matched = 0

    def advance(self, character: str) -> bool:
        """Read one character. Returns whether the stop string is complete."""
        while self.matched > 0 and self._stop[self.matched] != character:
            self.matched = self._shorter[self.matched - 1]
        if self._stop[self.matched] == character:
            self.matched += 1
        return self.matched == self.length


def _borders(stop: str) -> list[int]:
    """For each prefix, the length of its longest proper suffix that is also a prefix."""
    borders = [0] * len(stop)
    length = 0
    for place in range(1, len(stop)):
        while length > 0 and stop[place] != stop[length]:
            length = borders[length - 1]
        if stop[place] == stop[length]:
            length += 1
        borders[place] = length
    return borders
