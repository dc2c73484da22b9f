"""Requests made from the OpenAPI document by Schemathesis: every form that it allows and forbids.

Generated examples have U+0000 and any other character. Nothing is filtered out; the file
schemathesis.toml lists the statuses that are expected. ``UNROLL_FUZZ_EXAMPLES`` makes it try more.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service.process import RunningService

EXAMPLES = int(os.environ.get("UNROLL_FUZZ_EXAMPLES", "5"))
SEED = os.environ.get("UNROLL_FUZZ_SEED", "1")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.slow
@pytest.mark.timeout(120 + 10 * EXAMPLES)
def test_the_service_keeps_what_its_schema_promises(
    service: RunningService, tmp_path: Path
) -> None:
    """Valid requests are accepted and invalid ones refused, on every route and in sequences of
    requests; answers have the documented status and form; nothing fails.
    """
    schemathesis = Path(sys.executable).with_name("schemathesis")
    ended = subprocess.run(
        [
            str(schemathesis),
            *("--config-file", str(CONFIGURATION)),
            *("run", f"http://127.0.0.1:{service.port}/openapi.json"),
            *("--mode", "all", "--seed", SEED, "--max-examples", str(EXAMPLES)),
            *("--continue-on-failure", "--no-color", "--request-timeout", "60"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-10_000:] + ended.stderr[-2_000:]
    operations = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", ended.stdout)
    assert operations is not None, ended.stdout
    assert len(set(operations.groups())) == 1, operations[0]
    assert service.client.get("/health/live").status_code == 200
    assert "Traceback" not in service.output
