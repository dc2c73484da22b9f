"""``python -m training race``: cells trained side by side to recall a symbol."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from training.analysis.race.race import Race, run_race
from training.config.race import RaceRequest
from training.reports.output import (
    PAGE_FILE,
    RESULTS_FILE,
    reserved_output,
    to_json,
    write_json,
    write_report,
)
from training.reports.plotting import require_matplotlib
from training.reports.race.display import RaceDisplay
from training.reports.race.page import (
    race_introduction,
    race_sections,
    race_summary,
    race_table,
)
from training.runtime.threads import set_threads


def run(request: RaceRequest) -> int:
    """Shows the races, prints a table, writes the JSON file and the page; the exit status.

    A race that is interrupted keeps its measurements, as a finished one does.

    Raises:
        OutputError: ``out`` or ``json`` cannot be written.
    """
    if request.out is not None:
        require_matplotlib("--out")
    with reserved_output(request.out, request.json):
        set_threads(request.threads)
        races = list[Race]()
        try:
            for distance in request.chosen_distances:
                _show_race(request, distance, races)
        finally:
            races = [race for race in races if race.racers[-1].measurements]
            if races:
                _write(request, races)
    return 0


def _show_race(request: RaceRequest, distance: int, races: list[Race]) -> None:
    display, ends = RaceDisplay(sys.stderr), time.monotonic() + request.seconds
    for race in run_race(request, distance, lambda: time.monotonic() >= ends):
        if race not in races[-1:]:
            races.append(race)
        display.show(race)
    display.show(races[-1], last=True)


def _write(request: RaceRequest, races: Sequence[Race]) -> None:
    record = _record(request, races)
    if request.json is not None:
        write_json(request.json, record)
    if request.out is not None:
        write_report(
            request.out,
            title="Race of the cells",
            introduction=race_introduction(mixed=request.mixed),
            sections=race_sections(races),
            files={RESULTS_FILE: to_json(record)},
        )
        print(f"page and plots are in {request.out / PAGE_FILE}", file=sys.stderr)
    print("\n".join(race_table(races).lines()))
    print(race_summary(races))


def _record(request: RaceRequest, races: Sequence[Race]) -> dict[str, Any]:
    options = {n: v for n, v in asdict(request).items() if n not in ("json", "out", "threads")}
    return {"options": options, "races": [race.record() for race in races]}
