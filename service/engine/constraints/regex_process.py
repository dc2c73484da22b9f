"""The program that compiles one regular expression, started by ``byte_automaton``.

A process of its own is the only way to bound the time and memory of the library, which a hostile
expression needs without end. It reads the expression from standard input and writes the automaton
to standard output: the number of states and of classes of bytes, the class of each byte, whether
each state is accepting, and the state after each class, for all states of one class after the
other. Statuses: see below; with ``REFUSED`` the output is the reason.

The library is outlines-core: its automata are those of the crate regex-automata, which need no
library of tensors. It cuts alternatives that come after a shorter match (``a|ab`` never gives
"ab"), since it searches as Perl does. A NUL after the expression, which no text has, lets a match
end there only, so that none is cut.
"""

from __future__ import annotations

import os
import re
import resource
import struct
import sys
from array import array

SIZES = struct.Struct("<II")
NUL = 0
NICENESS = 10
REFUSED, MISSING = 3, 4  # statuses: the expression is refused; the library is not installed
UNSUPPORTED = (
    "it uses what an automaton does not have: look-around, back-references, word boundaries, or ^ "
    "and $ elsewhere than at the ends"
)


class RefusedRegexError(Exception):
    """The expression cannot be compiled; the message has the reason."""


def limit(seconds: int, nbytes: int) -> None:
    """Bound the processor time and the memory of this process, where the system can, and give
    running requests precedence.
    """
    os.nice(NICENESS)
    for kind, most in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, nbytes)):
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):  # macOS bounds no memory
            continue


def without_anchors(regex: str) -> str:
    """The expression without ^ and $ at its ends, which a match of the whole text implies."""
    regex = regex.removeprefix("^")
    body = regex.removesuffix("$")
    escapes = len(body) - len(body.rstrip("\\"))
    return body if escapes % 2 == 0 else regex


def compiled(regex: str) -> bytes:
    """The automaton, as it is written. Raises RefusedRegexError, ImportError."""
    from outlines_core import Index, Vocabulary  # noqa: PLC0415

    every_byte = Vocabulary(256, {bytes([byte]): [byte] for byte in range(256)})
    try:
        index = Index(rf"(?:{without_anchors(regex)})\x00", every_byte)
    except ValueError:
        raise RefusedRegexError(_reason(regex)) from None
    return packed(index.get_transitions(), index.get_initial_state(), index.get_final_states())


def _reason(regex: str) -> str:
    try:
        re.compile(regex)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return UNSUPPORTED


def packed(transitions: dict[int, dict[int, int]], first: int, final: set[int]) -> bytes:
    """The written form of transitions by state and byte, with states in the order in which they
    are reached.
    """
    number = {first: 0}
    order = [first]
    for state in order:
        for byte, after in sorted(transitions.get(state, {}).items()):
            if byte != NUL and byte < 256 and after not in number:
                number[after] = len(order)
                order.append(after)
    if not final.isdisjoint(order):
        raise RefusedRegexError("unbalanced parenthesis")  # it closed the group around it
    columns = [array("i", [-1]) * len(order) for _ in range(256)]
    accepting = bytearray(len(order))
    for index, state in enumerate(order):
        for byte, after in transitions.get(state, {}).items():
            if byte == NUL:
                accepting[index] = after in final
            elif byte < 256:
                columns[byte][index] = number[after]
    classes: dict[bytes, int] = {}
    class_of = bytes(classes.setdefault(column.tobytes(), len(classes)) for column in columns)
    return SIZES.pack(len(order), len(classes)) + class_of + accepting + b"".join(classes)


def main(seconds: str, nbytes: str) -> int:
    """Compile the expression on standard input. Returns the status."""
    limit(int(seconds), int(nbytes))
    try:
        output, status = compiled(sys.stdin.buffer.read().decode()), 0
    except RefusedRegexError as error:
        output, status = str(error).encode(), REFUSED
    except ImportError:
        output, status = b"", MISSING
    sys.stdout.buffer.write(output)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
