"""Artifacts with random changes, in a separate process: none crashes or hangs it.

``UNROLL_FUZZ_EXAMPLES`` sets the examples of each case for a longer, random run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.service.artifact_fuzzing import CASES
from tests.support.service.engine_client import classifier, language_model

LONGER = os.environ.get("UNROLL_FUZZ_EXAMPLES")
EXAMPLES = int(LONGER or "50")
PATIENCE = 60 + 20 * EXAMPLES  # seconds; only a hang takes as long


@pytest.mark.timeout(PATIENCE + 30)
def test_a_changed_artifact_is_refused_or_served(tmp_path: Path) -> None:
    """After any change to a file: an ArtifactError, or the engine answers every task."""
    for kind in ("word", "char", "bpe"):
        language_model(tmp_path, kind, "gru", 1)
    classifier(tmp_path)
    more = ["--random"] if LONGER else []
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.service.artifact_fuzzing",
            str(tmp_path),
            str(EXAMPLES),
            *more,
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    tried, served = map(int, ended.stdout.split())
    assert tried >= EXAMPLES * sum(map(len, CASES.values())) // 2
    assert 0 < served < tried
