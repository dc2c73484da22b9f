"""Bulk prediction as a Ray Data job on two nodes, of which one is killed."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.repository import ROOT
from tests.support.service.process import eventually
from training.config.prediction import PredictionRequest
from training.errors import OutputError

# In no lock file: its many packages have bounds of their own.
ray = pytest.importorskip("ray", reason="ray[data] is not installed")
pytest.importorskip("ray.data", reason="ray[data] is not installed")

FILES, DOCUMENTS = 8, 4000

# Ray opens files and sockets that it closes late, and warns of its own future changes.
pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A driver's node without processors, and two nodes with one each."""
    from ray.cluster_utils import Cluster

    os.environ.update(RAY_USAGE_STATS_ENABLED="0", PYTHONPATH=str(ROOT))
    memory = {"object_store_memory": 100 << 20}
    head = {**memory, "num_cpus": 0, "include_dashboard": False}
    started = Cluster(initialize_head=True, head_node_args=head)
    try:
        started.others = [started.add_node(num_cpus=1, **memory) for _ in range(2)]
        ray.init(address=started.address, log_to_driver=False)
        yield started
    finally:
        ray.shutdown()
        started.shutdown()


def write_files(folder: Path) -> None:
    """Files of numbered documents."""
    folder.mkdir()
    for part in range(FILES):
        with (folder / f"part-{part}.jsonl").open("w") as file:
            for number in range(DOCUMENTS):
                text = "a dog near the cats " * (1 + number % 7)
                file.write(json.dumps({"id": number, "text": text}) + "\n")


def test_a_killed_node_loses_no_document(cluster: Any, models: Path, tmp_path: Path) -> None:
    """A node is killed while its actor writes a file. The job ends with every document once and in
    order; a second job is refused, and one that resumes has nothing to do.
    """
    sys.path.insert(0, str(ROOT))
    predict = importlib.import_module("deploy.ray.predict_job").predict
    write_files(tmp_path / "in")
    out = tmp_path / "out"
    asked = PredictionRequest(
        artifact=models / "sentiment",
        data=(str(tmp_path / "in" / "*.jsonl"),),
        out=out,
        copy=("id",),
        chunk=200,
    )
    results: list[tuple[int, int]] = []
    job = threading.Thread(target=lambda: results.append(predict(asked)))
    job.start()
    eventually(lambda: len(list(out.glob("*.progress"))) == 2, "both nodes write")
    cluster.remove_node(cluster.others[0], allow_graceful=False)
    job.join(timeout=200)
    assert results == [(FILES * DOCUMENTS, 0)]
    for part in range(FILES):
        lines = (out / f"part-{part}.jsonl").read_text().splitlines()
        assert [json.loads(line)["id"] for line in lines] == list(range(DOCUMENTS))
        assert (out / f"part-{part}.jsonl.done").exists()
    with pytest.raises(OutputError, match="exists"):
        predict(asked)
    again = dataclasses.replace(asked, resume=True)
    assert predict(again) == (FILES * DOCUMENTS, 0)
