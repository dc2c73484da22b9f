"""The buffers of one call of the native kernel: packed work and space for all results.

The layout follows the structures of native/csrc/language_model.h.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence

import numpy as np

from service.kernel.api.interface import RowResult, RowWork, Sampling, Scored
from service.kernel.api.row_state import RowState
from service.kernel.native import library

_RESULTS = struct.Struct("6i")
_WORK = struct.Struct(f"{library.WORK_FORMAT}6i")


class CallBuffers:
    """The work as C++ reads it, and space for every result.

    ``top``: the largest number of alternatives of any row. ``state_shape``: parts of a state,
    layers, units.
    """

    def __init__(
        self,
        work: Sequence[RowWork],
        steps: int,
        top: int,
        vocabulary: int,
        state_shape: tuple[int, int, int],
    ) -> None:
        count = len(work)
        self._work = work
        self._top = top
        # Each state has its own memory, since their lifetimes differ.
        self._states = [np.empty(state_shape, np.float32) if item.keep else None for item in work]
        self._packed = bytearray(_WORK.size * count)
        feed: list[int] = []
        seen: list[int] = []
        counted: list[int] = []
        counts: list[int] = []
        bias: list[tuple[int, float]] = []
        distributions = 0
        for index, item in enumerate(work):
            asked, state = item.sampling, self._states[index]
            _WORK.pack_into(
                self._packed,
                index * _WORK.size,
                item.row,
                item.sample,
                len(feed),
                len(item.feed),
                len(seen),
                len(item.seen),
                item.score,
                distributions if item.distribution else -1,
                asked.top_k,
                asked.top_logprobs,
                asked.logprob,
                item.keep,
                len(counted),
                len(item.counts),
                len(bias),
                len(asked.logit_bias),
                item.constraint_state,
                0,
                *_real_numbers(asked),
                asked.seed,
                asked.choice_index,
                item.position,
                0 if state is None else state.ctypes.data,
                0 if item.constraint is None else library.automaton_address(item.constraint),
                *(0, 0, 0, 0, 0, 0),
            )
            distributions += item.distribution
            feed += item.feed
            seen += item.seen
            counted += item.counts.keys()
            counts += item.counts.values()
            bias += asked.logit_bias
        self._feed = np.array(feed, dtype=np.int32)
        self._seen = np.array(seen, dtype=np.int32)
        self._counted = np.array(counted, dtype=np.int32)
        self._counts = np.array(counts, dtype=np.int32)
        self._bias_ids = np.array([token for token, _ in bias], dtype=np.int32)
        self._bias = np.array([number for _, number in bias], dtype=np.float32)
        self._tokens = np.empty((count, steps), dtype=np.int32)
        self._logprobs = np.empty((count, steps), dtype=np.float32)
        self._top_tokens = np.empty((count, steps, top), dtype=np.int32)
        self._top_logprobs = np.empty((count, steps, top), dtype=np.float32)
        self._distributions = np.empty((distributions, vocabulary), dtype=np.float32)

    def call(self, steps: int, *, cut_at_end: bool, seconds: float) -> library.Call:
        """The structure with pointers to all buffers."""
        packed = ctypes.c_char * len(self._packed)
        return library.Call(
            ctypes.cast(packed.from_buffer(self._packed), ctypes.c_void_p),
            len(self._work),
            steps,
            self._top,
            cut_at_end,
            *(
                array.ctypes.data if array.size else None
                for array in (
                    self._feed,
                    self._seen,
                    self._counted,
                    self._counts,
                    self._bias_ids,
                    self._bias,
                    self._tokens,
                    self._logprobs,
                    self._top_tokens,
                    self._top_logprobs,
                    self._distributions,
                )
            ),
            seconds,
        )

    def results(self) -> list[RowResult]:
        """The results, in the order of the work."""
        tokens, logprobs = self._tokens.tolist(), self._logprobs.tolist()
        distributions = iter(self._distributions)
        results: list[RowResult] = []
        for index, item in enumerate(self._work):
            read, scored, generated, kept, failed, _ = _RESULTS.unpack_from(
                self._packed, (index + 1) * _WORK.size - _RESULTS.size
            )
            count = scored + generated
            reported = count if item.sampling.reports else scored
            tops = self._tops(index, item.sampling.top_logprobs, reported)
            answers = list(map(Scored, tokens[index], logprobs[index], tops))
            state = self._states[index]
            distribution = next(distributions) if item.distribution else None
            whole = read == len(item.feed)
            results.append(
                RowResult(
                    read,
                    answers[:scored],
                    tokens[index][scored:count],
                    answers[scored:],
                    distribution if whole and not failed else None,
                    RowState(state) if kept and state is not None else None,
                    bool(failed),
                )
            )
        return results

    def _tops(self, index: int, asked: int, answers: int) -> list[tuple[tuple[int, float], ...]]:
        if asked == 0:
            return [()] * answers
        count = min(asked, self._top)
        return [
            tuple(
                zip(
                    self._top_tokens[index, slot, :count].tolist(),
                    self._top_logprobs[index, slot, :count].tolist(),
                    strict=True,
                )
            )
            for slot in range(answers)
        ]


def _real_numbers(asked: Sampling) -> tuple[float, ...]:
    """The options that are real numbers, in the order of struct Work."""
    penalties = asked.repetition_penalty, asked.presence_penalty, asked.frequency_penalty
    return asked.temperature, asked.top_p, asked.min_p, *penalties
