"""Tables, files and figures: what stands in them, and that they can be drawn at all."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.harness.load_client import Tally
from benchmarks.harness.plots import Panel, bars, legend_columns, lines, shortened
from benchmarks.harness.report import Report, Table, bind, markdown_table, write
from benchmarks.measurements.serving import GeneratorCheck, Measurement, measurement_of, summarize
from benchmarks.reports.serving import pair, ratios_to_the_first, serving_report

NAN = float("nan")


def measurement(server: str, streams: int, tokens: int, size: str = "small") -> Measurement:
    """One second in which so many tokens came."""
    tally = Tally(
        streams=streams,
        seconds=1.0,
        own_processor_share=0.05,
        tokens=tokens,
        pieces=tokens // 4,
        requests=1,
        first_tokens=(0.001, 0.002),
        piece_gaps=(0.004, NAN),
        stream_gaps=(0.001, NAN),
        server_processor_seconds=0.5,
    )
    return measurement_of(tally, size=size, server=server, memory=10**8)


def test_a_tally_is_told_in_the_units_of_the_tables() -> None:
    """Milliseconds, megabytes, and processor time for a thousand tokens."""
    one = measurement("ours", 1, 2000)
    assert (one.tokens_per_second, one.tokens_per_write) == (2000, 4)
    assert (one.first_token_p50, one.write_gap_p50) == (1.0, 4.0)
    assert (one.processor_seconds_per_1000_tokens, one.memory_megabytes) == (0.25, 100)


def test_a_summary_holds_medians_by_size_server_and_streams() -> None:
    """Three repeats become one; other loads and sizes stay apart."""
    found = [measurement("ours", 1, tokens) for tokens in (100, 900, 200)]
    summary = summarize([*found, measurement("ours", 16, 5), measurement("ours", 1, 7, "large")])
    assert [one.tokens_per_second for one in summary] == [200, 5, 7]


def test_ratios_are_to_the_first_server_at_the_same_load() -> None:
    """Where the first server was not measured there is none."""
    part = [measurement("ours", 1, 80), measurement("other", 1, 20), measurement("other", 2, 20)]
    ours, other, alone = ratios_to_the_first(part)
    assert (ours, other) == (1.0, 4.0)
    assert math.isnan(alone)


def test_a_table_has_words_to_the_left_and_numbers_to_the_right() -> None:
    """GitHub's markdown."""
    table = Table("t", ("what", "how", "much"), [("a", "b", "1")], texts=2)
    assert markdown_table(table) == "| what | how | much |\n| --- | --- | ---: |\n| a | b | 1 |"


def test_a_report_becomes_three_files_and_part_of_one(tmp_path: Path) -> None:
    """What was measured of two servers: text, numbers, figure, and the whole."""
    found = [measurement("ours", 1, 800), measurement("other", 1, 20)]
    checks = [GeneratorCheck(1, 8, 8000.0)]
    text = write(tmp_path, serving_report(found, checks, {"small": "of some size"}, 96, "a kernel"))
    assert "| 1 | other | 20 | 40.0x |" in text
    assert "8000 tokens/s with 8 in a write (10.0 times the fastest server here)" in text
    numbers = json.loads((tmp_path / "serving.json").read_text())
    assert [one["write_gap_p99"] for one in numbers["repeats"]] == [None, None]
    assert (tmp_path / "serving.png").read_bytes().startswith(b"\x89PNG")
    write(tmp_path, Report("later", "Later", [], [], {}))
    whole = bind(tmp_path, ["later", "missing", "serving"]).read_text()
    assert whole.index("## Later") < whole.index("## The service")


def test_a_missing_quantile_is_a_dash() -> None:
    """Nobody reads nan."""
    assert pair(1.25, NAN, 1) == "1.2 / -"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0341, "0.034"), (7.44, "7.4"), (1234.0, "1200"), (99.7, "100")],
)
def test_numbers_on_bars_are_short(value: float, text: str) -> None:
    """Two figures, no exponent."""
    assert shortened(value) == text


def test_figures_draw_what_is_missing_as_nothing(tmp_path: Path) -> None:
    """A series with a gap, panels of unequal number in two rows, and lines."""
    panel = Panel("title", "axis", ["1", "2"], {"a": [1.0, NAN], "b": [2.0, 3.0]}, logarithmic=True)
    bars([[panel, panel], [panel]]).savefig(tmp_path / "bars.png")
    lines("title", "across", "axis", {"a": ([1, 2], [3.0, 4.0])}).savefig(tmp_path / "lines.png")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("bars.png", "lines.png"))


def test_a_long_legend_has_a_line_for_each_name() -> None:
    """Names that do not fit side by side stand below each other."""
    assert legend_columns(["Unroll", "LitServe"], 5) == 2
    assert legend_columns(["a name of very many letters indeed"] * 3, 5) == 1
