"""The thread pool of the native kernel."""

from __future__ import annotations

from pathlib import Path

from tests.unit.service.kernel.native.test_library_vectors import needs_compiler, run_program


@needs_compiler
def test_pool_runs_each_piece_once_beside_slow_workers(tmp_path: Path) -> None:
    """Each piece runs once a phase, in its owner's thread if it can, also when a worker is slow."""
    run_program("thread_pool", ["-pthread"], tmp_path)
