"""Runs wrk, a load generator in C: one in Python takes longer for a request than the service does.

wrk sends the next request of a connection when the response to the last one has arrived.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCRIPT = """
local bodies = {%s}
local sent = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  sent = sent %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[sent])
end
function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\\nRESULT {"requests": %%d, "microseconds": %%d, "failed": %%d,'
    .. ' "p50": %%d, "p99": %%d}\\n', summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
"""
_MARK = "RESULT "


@dataclass(frozen=True)
class WrkResult:
    """The result of a run. Quantiles of the time of a response in milliseconds."""

    requests: int
    requests_per_second: float
    p50: float
    p99: float


def run_wrk(
    port: int, path: str, bodies: Sequence[dict[str, Any]], connections: int, seconds: float
) -> WrkResult:
    """Sends the bodies in turn. Raises SystemExit if wrk is missing or a request fails."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("wrk is not installed: install it, for example with apt-get install wrk")
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "requests.lua"
        script.write_text(_SCRIPT % ", ".join(map(_lua_string, bodies)), encoding="utf-8")
        run = subprocess.run(
            [
                *(program, "--threads", "1", "--connections", str(connections)),
                *("--duration", f"{max(1, round(seconds))}s", "--latency"),
                *("--script", str(script), f"http://127.0.0.1:{port}{path}"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    lines = [line for line in run.stdout.splitlines() if line.startswith(_MARK)]
    if run.returncode != 0 or not lines:
        raise SystemExit(f"wrk failed for {path}: {run.stderr or run.stdout}")
    counts = json.loads(lines[0].removeprefix(_MARK))
    if counts["failed"] or not counts["requests"]:
        raise SystemExit(f"{counts['failed']} of {counts['requests']} requests to {path} failed")
    return WrkResult(
        requests=counts["requests"],
        requests_per_second=1e6 * counts["requests"] / counts["microseconds"],
        p50=counts["p50"] / 1e3,
        p99=counts["p99"] / 1e3,
    )


def _lua_string(body: dict[str, Any]) -> str:
    """The JSON of a body as a string of Lua, whose escapes are those of JSON for ASCII text."""
    return json.dumps(json.dumps(body))
