"""The ctypes binding of the native library: loading it, and the structures of native/csrc/*.h.

The library is loaded by path, since it contains no Python. If it was not built, ``load`` raises an
error with the remedy. ctypes releases the interpreter's lock during a call, except for
QUICK_FUNCTIONS: getting the lock back from a busy event loop can take milliseconds, a thousand
times as long as these functions.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from numpy.typing import NDArray

from service.kernel.api.packing import PackedMatrix
from service.kernel.api.token_automaton import TokenAutomaton

LIBRARY = Path(__file__).parent / "lib" / "libunroll.so"  # built by setup.py
INTERFACE_VERSION = 11
CELL_CODES = {"elman": 0, "gru": 1, "lstm": 2}
PRECISION_CODES = {"int8": 0, "float32": 1}
# Environment variable: the path of another library, for tests with sanitizers.
LIBRARY_VARIABLE = "UNROLL_NATIVE_LIBRARY"
# Environment variable: the instruction set to use instead of the best one.
INSTRUCTION_SET_VARIABLE = "UNROLL_INSTRUCTION_SET"

_i32, _f32, _ptr = ctypes.c_int32, ctypes.c_float, ctypes.c_void_p
_u64 = ctypes.c_uint64


class NativeMissing(RuntimeError):  # noqa: N818
    """The library does not exist or cannot be loaded; the message contains the remedy."""


class Matrix(ctypes.Structure):
    """struct Matrix of native/csrc/matrix.h."""

    _fields_ = (
        *((name, _ptr) for name in ("weights", "scales", "offsets", "biases")),
        *((name, _i32) for name in ("groups", "gates", "inputs")),
    )


def address(array: NDArray[Any] | None) -> int | None:
    """The address of an array's data. The caller keeps the array alive."""
    return None if array is None else array.ctypes.data


def matrix(packed: PackedMatrix) -> Matrix:
    """The structure of a packed matrix. The caller keeps the matrix alive."""
    parts = (address(part) for part in packed[:4])
    return Matrix(*parts, packed.groups, packed.gates, packed.inputs)


class Automaton(ctypes.Structure):
    """struct Automaton of native/csrc/automaton.h."""

    _fields_ = (
        *((name, _ptr) for name in ("joined", "begins", "class_of", "next", "allowed")),
        *((name, _i32) for name in ("classes", "words")),
    )


_automata: WeakKeyDictionary[TokenAutomaton, Automaton] = WeakKeyDictionary()


def automaton_address(automaton: TokenAutomaton) -> int:
    """The address of the structure of a constraint, which lives as long as the constraint."""
    structure = _automata.get(automaton)
    if structure is None:
        tokens = automaton.tokens
        pointers = (
            address(tokens.joined),
            address(tokens.begins),
            address(automaton.class_of),
            address(automaton.next_SC),
            address(automaton.allowed_RW),
        )
        sizes = automaton.next_SC.shape[1], automaton.allowed_RW.shape[1]
        structure = _automata[automaton] = Automaton(*pointers, *sizes)
    return ctypes.addressof(structure)


class LayerDescription(ctypes.Structure):
    """struct LayerDescription of native/csrc/language_model.h."""

    _fields_ = (
        ("input", Matrix),
        ("hidden", Matrix),
        *((name, _ptr) for name in ("hiddens", "cells", "activations")),
        ("scale", _f32),
    )


class TailDescription(ctypes.Structure):
    """struct TailDescription of native/csrc/language_model.h."""

    _fields_ = (("narrow", Matrix), ("words", Matrix), ("begin", _i32), ("end", _i32))


class ModelDescription(ctypes.Structure):
    """struct ModelDescription of native/csrc/language_model.h."""

    _fields_ = (
        ("cell", _i32),
        ("precision", _i32),
        *((name, _i32) for name in ("layers", "rows", "width", "units", "vocabulary", "end")),
        ("never_count", _i32),
        ("never", _ptr),
        ("layer", ctypes.POINTER(LayerDescription)),
        *((name, _ptr) for name in ("table", "embedding", "embedding_scales")),
        ("embedding_inputs", _i32),
        ("projection", Matrix),
        ("output", Matrix),
        ("tail_count", _i32),
        ("tails", ctypes.POINTER(TailDescription)),
        ("current", _ptr),
        ("worth_sharing", ctypes.c_int64),
    )


class Call(ctypes.Structure):
    """struct Call of native/csrc/language_model.h. ``work`` points at rows of WORK_FORMAT."""

    _fields_ = (
        ("work", _ptr),
        *((name, _i32) for name in ("count", "steps", "top", "cut_at_end")),
        *((name, _ptr) for name in ("feed", "seen", "counted", "counts", "bias_ids", "bias")),
        *((name, _ptr) for name in ("tokens", "logprobs")),
        *((name, _ptr) for name in ("top_tokens", "top_logprobs", "distributions")),
        ("seconds", ctypes.c_double),
    )


# The fields of struct Work before its results, as a format of the struct module.
WORK_FORMAT = "18i6f5Q"


class DirectionDescription(ctypes.Structure):
    """struct DirectionDescription of native/csrc/classifier.h."""

    _fields_ = (
        ("input", Matrix),
        ("hidden", Matrix),
        *((name, _ptr) for name in ("first_activation", "first_hidden", "first_cell")),
    )


class ClassifierDescription(ctypes.Structure):
    """struct ClassifierDescription of native/csrc/classifier.h."""

    _fields_ = (
        *((name, _i32) for name in ("cell", "precision", "layers", "directions")),
        *((name, _i32) for name in ("hidden", "units")),
        ("direction", ctypes.POINTER(DirectionDescription)),
        *((name, _ptr) for name in ("scales", "embedding", "embedding_scales")),
        *((name, _i32) for name in ("embedding_width", "width", "vocabulary")),
        *((name, _ptr) for name in ("vectors", "ngram_vectors")),
        *((name, _i32) for name in ("ngrams", "ngram_buckets", "pools_states", "pools_words")),
        ("mlp", Matrix),
        ("output", Matrix),
        ("labels", _i32),
        *((name, _ptr) for name in ("linear_importance", "linear_weights", "linear_biases")),
        *((name, _i32) for name in ("linear_ngrams", "linear_buckets")),
        ("worth_sharing", ctypes.c_int64),
    )


class InputTable(ctypes.Structure):
    """struct InputTable of native/csrc/input_table.cpp."""

    _fields_ = (
        ("embedding", _ptr),
        ("blocks", ctypes.POINTER(Matrix)),
        *((name, _ptr) for name in ("biases", "table")),
        *((name, _i32) for name in ("block_count", "tokens", "width", "outputs")),
    )


# The type of the result and of each argument.
QUICK_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "unroll_interrupt": (None, _ptr),
    "unroll_save": (None, _ptr, _i32, _ptr, _ptr),
    "unroll_restore": (None, _ptr, _i32, _ptr, _ptr),
    "unroll_create_batch": (
        *(_ptr, ctypes.POINTER(ClassifierDescription)),
        *(_ptr, _ptr, _i32, _i32, _ptr, _ptr, ctypes.c_char_p),
    ),
    "unroll_destroy_batch": (None, _ptr),
    "unroll_run_short_batch": (ctypes.c_int, _ptr, ctypes.c_int64),
}
SYMBOLS = {"unroll_run_short_batch": "unroll_run_batch"}  # where the name differs


@functools.cache
def load() -> ctypes.CDLL:
    """The library with typed functions. Raises NativeMissing."""
    path = Path(os.environ.get(LIBRARY_VARIABLE) or LIBRARY)
    if not path.exists():
        raise NativeMissing(
            "the native kernel is not built: install a C++17 compiler (g++ or clang++) and run "
            "`make native`, or `pip install --no-deps .` again"
        )
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeMissing(f"{path.name} cannot be loaded: {error}; build it again") from error
    library.unroll_interface.restype = ctypes.c_int
    if library.unroll_interface() != INTERFACE_VERSION:
        raise NativeMissing(f"{path.name} was built from another version: run `make native`")
    library.unroll_instruction_set.argtypes = [ctypes.c_char_p]
    library.unroll_instruction_set.restype = ctypes.c_char_p
    library.unroll_create.argtypes = [
        ctypes.POINTER(ModelDescription),
        ctypes.c_int,
        ctypes.c_char_p,
    ]
    library.unroll_create.restype = _ptr
    library.unroll_destroy.argtypes = [_ptr]
    library.unroll_destroy.restype = None
    library.unroll_run.argtypes = [_ptr, ctypes.POINTER(Call)]
    library.unroll_run.restype = ctypes.c_int
    library.unroll_fill_input_table.argtypes = [
        ctypes.POINTER(InputTable),
        ctypes.c_int,
        ctypes.c_char_p,
    ]
    library.unroll_fill_input_table.restype = ctypes.c_int
    for name, arguments in QUICK_FUNCTIONS.items():
        prototype = ctypes.PYFUNCTYPE(*arguments)  # keeps the interpreter's lock
        setattr(library, name, prototype((SYMBOLS.get(name, name), library)))
    library.unroll_run_batch.argtypes = [_ptr, ctypes.c_int64]
    library.unroll_run_batch.restype = ctypes.c_int
    return library


def requested_instruction_set() -> bytes:
    """The instruction set from the environment; empty for the best one."""
    return os.environ.get(INSTRUCTION_SET_VARIABLE, "").encode()


def instruction_set() -> str:
    """The name of the instruction set in use. Raises NativeMissing."""
    name = load().unroll_instruction_set(requested_instruction_set())
    if name is None:
        raise NativeMissing(
            f"{INSTRUCTION_SET_VARIABLE}: this processor has no such set, or it is unknown"
        )
    return str(name.decode())
