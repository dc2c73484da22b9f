"""Reports: units, medians, tables, files and figures."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.harness.load_client import LoadResult
from benchmarks.harness.plots import Panel, bar_charts, format_short, legend_columns, line_chart
from benchmarks.harness.report import (
    Report,
    ResultTable,
    join_reports,
    markdown_table,
    write_report,
)
from benchmarks.harness.statistics import medians_of_repeats
from benchmarks.measurements.serving import (
    KEY_FIELDS,
    GeneratorCheck,
    ServingMeasurement,
    measurement_from,
)
from benchmarks.reports.serving import format_pair, ratios_to_first, serving_report

NAN = float("nan")


def measurement(server: str, streams: int, tokens: int, size: str = "small") -> ServingMeasurement:
    """A measurement of one second with this number of tokens."""
    result = LoadResult(
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
    return measurement_from(result, size=size, server=server, memory=10**8)


def test_a_measurement_has_the_units_of_the_tables() -> None:
    """A measurement has milliseconds, megabytes, and CPU seconds per 1000 tokens."""
    units = measurement("ours", 1, 2000)
    assert (units.tokens_per_second, units.tokens_per_write) == (2000, 4)
    assert (units.first_token_p50, units.write_gap_p50) == (1.0, 4.0)
    assert (units.processor_seconds_per_1000_tokens, units.memory_megabytes) == (0.25, 100)


def test_a_summary_has_medians_by_size_server_and_streams() -> None:
    """Three repeats become one median; other loads and sizes are not mixed with them."""
    repeats = [measurement("ours", 1, tokens) for tokens in (100, 900, 200)]
    others = [measurement("ours", 16, 5), measurement("ours", 1, 7, "large")]
    summary = medians_of_repeats([*repeats, *others], KEY_FIELDS)
    assert [median.tokens_per_second for median in summary] == [200, 5, 7]


def test_ratios_are_to_the_first_server_at_the_same_load() -> None:
    """The ratio is nan if the first server was not measured at this load."""
    summary = [measurement("ours", 1, 80), measurement("other", 1, 20), measurement("other", 2, 20)]
    first, second, missing = ratios_to_first(summary)
    assert (first, second) == (1.0, 4.0)
    assert math.isnan(missing)


def test_a_table_aligns_text_to_the_left_and_numbers_to_the_right() -> None:
    """A table has the alignment row of GitHub's Markdown."""
    table = ResultTable("t", ("what", "how", "much"), [("a", "b", "1")], text_columns=2)
    assert markdown_table(table) == "| what | how | much |\n| --- | --- | ---: |\n| a | b | 1 |"


def test_a_report_is_written_as_three_files_and_joined_with_others(tmp_path: Path) -> None:
    """A report has a Markdown, a JSON and a PNG file; the joined file skips missing reports."""
    measurements = [measurement("ours", 1, 800), measurement("other", 1, 20)]
    checks = [GeneratorCheck(1, 8, 8000.0)]
    titles = {"small": "of some size"}
    text = write_report(tmp_path, serving_report(measurements, checks, titles, 96, "a kernel"))
    assert "| 1 | other | 20 | 40.0x |" in text
    assert "8000 tokens/s with 8 in a write (10.0 times the fastest server here)" in text
    results = json.loads((tmp_path / "serve.json").read_text())
    assert [repeat["write_gap_p99"] for repeat in results["repeats"]] == [None, None]
    assert (tmp_path / "serve.png").read_bytes().startswith(b"\x89PNG")
    write_report(tmp_path, Report("later", "Later", [], [], {}))
    joined = join_reports(tmp_path, ["later", "missing", "serve"]).read_text()
    assert joined.index("## Later") < joined.index("## The service")


def test_a_missing_quantile_is_a_dash() -> None:
    """Nan is printed as a dash."""
    assert format_pair(1.25, NAN, 1) == "1.2 / -"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0341, "0.034"), (7.44, "7.4"), (1234.0, "1200"), (99.7, "100")],
)
def test_numbers_on_bars_are_short(value: float, text: str) -> None:
    """Numbers have two significant digits and no exponent."""
    assert format_short(value) == text


def test_figures_leave_out_missing_values(tmp_path: Path) -> None:
    """Figures are drawn with a missing value and with rows of different numbers of panels."""
    panel = Panel("title", "axis", ["1", "2"], {"a": [1.0, NAN], "b": [2.0, 3.0]}, logarithmic=True)
    bar_charts([[panel, panel], [panel]]).savefig(tmp_path / "bars.png")
    chart = line_chart("title", "x", "y", {"a": ([1, 2], [3.0, 4.0])})
    chart.savefig(tmp_path / "lines.png")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("bars.png", "lines.png"))


def test_a_long_legend_has_a_line_for_each_name() -> None:
    """Names that do not fit into one line are in one column."""
    assert legend_columns(["Unroll", "LitServe"], 5) == 2
    assert legend_columns(["a name of very many letters indeed"] * 3, 5) == 1
