"""The roofline: weights of a step, bounds, and the probe of the machine's limits."""

import shutil
from pathlib import Path

import pytest

from benchmarks.harness.presets import LARGE_PRESET, MEDIUM_PRESET, PRESETS, preset
from benchmarks.roofline.bounds import StepBound, step_bound, weights_per_step
from benchmarks.roofline.probe import (
    RooflineLimits,
    best_limits,
    compile_probe,
    parse_limits,
    run_probe,
)
from model.architecture import CELLS, GATE_BLOCKS, Cell
from model.networks import LanguageModel

SMALL_MACHINE = RooflineLimits("made up", 1, int8=1e9, float32=1e8, reads={1000: 1e6, 4000: 2e6})


@pytest.mark.parametrize("cell", CELLS)
def test_weights_are_those_of_the_matrices(cell: Cell) -> None:
    """A step multiplies all matrices of the network except the embedding, which is looked up."""
    architecture = preset("small", cell)
    network = LanguageModel(architecture)
    matrices = [
        parameter.numel()
        for name, parameter in network.named_parameters()
        if parameter.dim() == 2 and not name.startswith("embedding")
    ]
    assert weights_per_step(architecture, looked_up=False) == sum(matrices)


def test_an_embedding_lookup_counts_no_multiplications() -> None:
    """With a table only the first layer's input matrix is not multiplied."""
    whole = weights_per_step(MEDIUM_PRESET, looked_up=False)
    assert (
        whole - weights_per_step(MEDIUM_PRESET, looked_up=True) == GATE_BLOCKS["lstm"] * 650 * 650
    )


def test_a_projection_makes_the_output_narrow() -> None:
    """The output layer of the large preset has 400 inputs, after a matrix of 1150 by 400."""
    recurrent = 4 * 1150 * ((400 + 1150) + 2 * (1150 + 1150))
    expected = recurrent + 1150 * 400 + 400 * 33_278
    assert weights_per_step(LARGE_PRESET, looked_up=False) == expected


def test_one_row_is_limited_by_reading_and_many_by_multiplying() -> None:
    """1000 bytes at a million a second take 1 ms; 1000 rows of 1000 weights at 1e9 the same."""
    assert step_bound(SMALL_MACHINE, 1000, 1, rows=1) == StepBound(1e-3, "bytes")
    many = step_bound(SMALL_MACHINE, 1000, 1, rows=4000)
    assert many is not None
    assert many.by == "multiply-adds"
    assert many.seconds == pytest.approx(4e-3)
    assert many.share(8e-3) == pytest.approx(0.5)


def test_float32_is_held_against_float32() -> None:
    """float32 weights have four bytes and the peak rate of float32."""
    single = step_bound(SMALL_MACHINE, 1000, 4, rows=1)
    assert single == StepBound(2e-3, "bytes")
    many = step_bound(SMALL_MACHINE, 1000, 4, rows=1000)
    assert many is not None
    assert many.seconds == pytest.approx(1e-2)


def test_an_unknown_limit_is_none() -> None:
    """Without a peak rate or a read rate of this size there is no bound."""
    assert step_bound(SMALL_MACHINE, 999, 1, rows=1) is None
    assert step_bound(RooflineLimits("none", 1, 0.0, 0.0, {1000: 1e6}), 1000, 1, rows=1) is None


def test_the_best_limits_are_the_largest_values() -> None:
    """Each limit is the largest value of all runs."""
    other = RooflineLimits("made up", 1, int8=2e9, float32=1e7, reads={1000: 5e5, 4000: 3e6})
    assert best_limits([SMALL_MACHINE, other]) == RooflineLimits(
        "made up", 1, int8=2e9, float32=1e8, reads={1000: 1e6, 4000: 3e6}
    )


def test_the_output_of_the_probe_is_parsed() -> None:
    """Sizes are parsed as int and rates as float."""
    limits = parse_limits(
        '{"instruction": "x", "threads": 2, "int8": 1, "float32": 2, "reads": {"8": 3}}'
    )
    assert limits == RooflineLimits("x", 2, 1.0, 2.0, {8: 3.0})


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here")
def test_the_program_runs(tmp_path: Path) -> None:
    """The compiler does not remove the measured reads: all rates are finite."""
    program = compile_probe(tmp_path)
    assert program is not None
    limits = run_probe(program, 2, 0.01, [4096, 100_000])
    assert limits.threads == 2
    assert set(limits.reads) == {4096, 100_000}
    assert all(0 < rate < 1e14 for rate in limits.reads.values())


def test_the_sizes_are_those_of_the_plan() -> None:
    """The published figures hold for these layers, widths and vocabularies."""
    assert [(a.layers, a.hidden, a.vocabulary) for a in PRESETS.values()] == [
        (2, 256, 10_000),
        (2, 650, 10_000),
        (3, 1150, 33_278),
    ]
