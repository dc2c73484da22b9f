"""How many weights a step multiplies, and how fast the machine could do it."""

import shutil
from pathlib import Path

import pytest

from benchmarks.harness.presets import LARGE, MEDIUM, SIZES, sized
from benchmarks.roofline.bounds import Bound, bound, weights_per_step
from benchmarks.roofline.probe import Limits, best, compiled, measured, parsed
from model.architecture import CELLS, GATE_BLOCKS, Cell
from model.networks import LanguageModel

SMALL_MACHINE = Limits("made up", 1, int8=1e9, float32=1e8, reads={1000: 1e6, 4000: 2e6})


@pytest.mark.parametrize("cell", CELLS)
def test_weights_are_those_of_the_matrices(cell: Cell) -> None:
    """All matrices of the network but the embedding, which is looked up and not multiplied."""
    architecture = sized("small", cell)
    network = LanguageModel(architecture)
    matrices = [
        parameter.numel()
        for name, parameter in network.named_parameters()
        if parameter.dim() == 2 and not name.startswith("embedding")
    ]
    assert weights_per_step(architecture, looked_up=False) == sum(matrices)


def test_what_is_looked_up_is_not_multiplied() -> None:
    """A table spares the first layer's input matrix, and that alone."""
    whole = weights_per_step(MEDIUM, looked_up=False)
    assert whole - weights_per_step(MEDIUM, looked_up=True) == GATE_BLOCKS["lstm"] * 650 * 650


def test_a_projection_makes_the_output_narrow() -> None:
    """Large: the output layer reads 400 numbers, after a matrix of 1150 by 400."""
    recurrent = 4 * 1150 * ((400 + 1150) + 2 * (1150 + 1150))
    expected = recurrent + 1150 * 400 + 400 * 33_278
    assert weights_per_step(LARGE, looked_up=False) == expected


def test_one_row_is_limited_by_reading_and_many_by_multiplying() -> None:
    """1000 bytes at a million a second take 1 ms; 1000 rows of 1000 weights at 1e9 the same."""
    assert bound(SMALL_MACHINE, 1000, 1, rows=1) == Bound(1e-3, "bytes")
    many = bound(SMALL_MACHINE, 1000, 1, rows=4000)
    assert many is not None
    assert many.by == "multiply-adds"
    assert many.seconds == pytest.approx(4e-3)
    assert many.share(8e-3) == pytest.approx(0.5)


def test_float32_is_held_against_float32() -> None:
    """Four bytes for each weight, and the peak of float32."""
    one = bound(SMALL_MACHINE, 1000, 4, rows=1)
    assert one == Bound(2e-3, "bytes")
    many = bound(SMALL_MACHINE, 1000, 4, rows=1000)
    assert many is not None
    assert many.seconds == pytest.approx(1e-2)


def test_an_unknown_limit_is_none() -> None:
    """No peak, or no array of that size: no share is made up."""
    assert bound(SMALL_MACHINE, 999, 1, rows=1) is None
    assert bound(Limits("none", 1, 0.0, 0.0, {1000: 1e6}), 1000, 1, rows=1) is None


def test_the_best_of_two_runs_counts() -> None:
    """Figure by figure: a limit is what was possible once."""
    other = Limits("made up", 1, int8=2e9, float32=1e7, reads={1000: 5e5, 4000: 3e6})
    assert best([SMALL_MACHINE, other]) == Limits(
        "made up", 1, int8=2e9, float32=1e8, reads={1000: 1e6, 4000: 3e6}
    )


def test_what_the_program_prints_is_read() -> None:
    """Sizes are whole numbers, rates are not."""
    found = parsed('{"instruction": "x", "threads": 2, "int8": 1, "float32": 2, "reads": {"8": 3}}')
    assert found == Limits("x", 2, 1.0, 2.0, {8: 3.0})


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here")
def test_the_program_runs(tmp_path: Path) -> None:
    """It compiles without optimizing away what it measures: every read takes time."""
    program = compiled(tmp_path)
    assert program is not None
    found = measured(program, 2, 0.01, [4096, 100_000])
    assert found.threads == 2
    assert set(found.reads) == {4096, 100_000}
    assert all(0 < rate < 1e14 for rate in found.reads.values())


def test_the_sizes_are_those_of_the_plan() -> None:
    """Names and widths that the design's figures hold for."""
    assert [(a.layers, a.hidden, a.vocabulary) for a in SIZES.values()] == [
        (2, 256, 10_000),
        (2, 650, 10_000),
        (3, 1150, 33_278),
    ]
