"""A service that is asked for everything but inspections never loads torch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.service.process import RunningService

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
TEXT = "The keys to the old cabinet"


def maps_torch(service: RunningService) -> bool:
    """Whether the process has torch's library in its memory, seen from outside."""
    return "libtorch" in Path(f"/proc/{service.process.pid}/maps").read_text(encoding="utf-8")


def test_only_inspections_load_torch(fresh_service: RunningService) -> None:
    """Texts, streams, states, words, scores, labels and growing documents need no torch; the first
    inspection loads it and answers, and so does the second, from another model.
    """
    client = fresh_service.client
    asked = {"prompt": TEXT, "max_tokens": 3, "seed": 1, "logprobs": 2, "return_state": True}
    for model in ("words", "chars", "bpe"):
        made = client.post("/generate", json={"model": model, **asked}).raise_for_status().json()
        state = made["choices"][0].get("state") or made["state"]
        more = {"model": model, "prompt": "", "max_tokens": 2, "state": state, "stream": True}
        client.post("/generate", json=more).raise_for_status()
        for route, body in (("next-word", {"prompt": TEXT}), ("score", {"texts": [TEXT]})):
            client.post(f"/{route}", json={"model": model, **body}).raise_for_status()
    for model in ("sentiment", "topics"):
        client.post("/classify", json={"model": model, "texts": [TEXT] * 3}).raise_for_status()
    grown = {"model": "stories", "text": TEXT, "return_state": True}
    client.post("/classify", json=grown).raise_for_status()
    client.get("/openapi.json").raise_for_status()
    assert not maps_torch(fresh_service)
    for model in ("words", "sentiment"):
        client.post("/inspect", json={"model": model, "text": TEXT}).raise_for_status()
    assert maps_torch(fresh_service)


def test_a_model_whose_files_changed_is_served_but_not_inspected(
    models: Path, tmp_path: Path
) -> None:
    """Weights overwritten in place: generation goes on, and an inspection says why it does not."""
    directory = tmp_path / "models" / "chars"
    directory.mkdir(parents=True)
    for file in (models / "chars").iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    with RunningService(tmp_path / "models") as service:
        (directory / "weights.safetensors").write_bytes(b"other")
        asked = {"prompt": TEXT, "max_tokens": 3}
        service.client.post("/generate", json=asked).raise_for_status()
        refused = service.client.post("/inspect", json={"text": TEXT})
        assert refused.status_code == 503
        error = refused.json()["error"]
        assert error["type"] == "inspection_unavailable"
        assert "'chars' have changed since it was loaded" in error["message"]
