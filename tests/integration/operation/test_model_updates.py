"""Models that are added, replaced, refused and removed while the service runs."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch

from model.networks import LanguageModel
from tests.support.service.process import PATIENCE, RunningService, error_of, eventually
from tests.support.service.small_artifacts import (
    language_model,
    save_classifier,
    save_language_model,
    word_tokenizer,
)

pytestmark = pytest.mark.slow

KEY = "the-key-of-the-operator"
WATCHED = ("--watch-seconds", "0.1", "--default-language-model", "words")


def put(folder: Path, *, seed: int, name: str = "words") -> None:
    """Write a version of a model, as training does."""
    tokenizer = word_tokenizer()
    network = language_model(tokenizer, ends=False, seed=seed)
    save_language_model(folder, name, tokenizer, network)


def listed(service: RunningService) -> dict[str, Any]:
    """GET /models as names and refusals."""
    answer = service.client.get("/models").json()
    return {
        "models": [model["name"] for model in answer["models"]],
        "refused": {one["name"]: one["reason"] for one in answer["refused"]},
    }


def reload(service: RunningService, key: str | None = KEY, **headers: str) -> httpx.Response:
    """POST /admin/reload."""
    own = {} if key is None else {"Authorization": f"Bearer {key}"}
    return service.client.post("/admin/reload", headers={**own, **headers})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a language model and a classifier."""
    folder = tmp_path / "models"
    put(folder, seed=0)
    save_classifier(folder, "sentiment")
    return folder


@contextmanager
def under_load(service: RunningService) -> Iterator[list[str]]:
    """Requests of all kinds, one after the other in each of four threads, whose failures are
    collected.
    """
    failures, ended = list[str](), threading.Event()

    def ask(path: str, body: dict[str, Any]) -> None:
        while not ended.is_set():
            response = service.post(path, body)
            if response.status_code != 200 or '"error"' in response.text:
                failures.append(response.text)

    tasks = (
        ("/generate", {"max_tokens": 20}),
        ("/generate", {"max_tokens": 200, "stream": True}),
        ("/classify", {"text": "the keys"}),
        ("/score", {"texts": ["the keys to the old cabinet " * 200]}),
    )
    with ThreadPoolExecutor(len(tasks)) as pool:
        asked = [pool.submit(ask, *task) for task in tasks]
        try:
            yield failures
        finally:
            ended.set()
        for one in asked:
            one.result(timeout=PATIENCE)


def test_versions_change_under_load_without_a_failed_request(folder: Path) -> None:
    """Good versions take over, damaged ones are refused in /models and in metrics while the old one
    serves on, and no request fails.
    """
    with RunningService(folder, *WATCHED) as service, under_load(service) as failures:
        texts = {service.text(max_tokens=30, seed=1)}
        for seed in (1, 2):
            put(folder, seed=seed)
            eventually(
                lambda: service.text(max_tokens=30, seed=1) not in texts, "a version takes over"
            )
            texts.add(service.text(max_tokens=30, seed=1))
            weights = folder / "words" / "weights.safetensors"
            raw = bytearray(weights.read_bytes())
            raw[-3] ^= 1
            weights.write_bytes(raw)
            eventually(lambda: bool(listed(service)["refused"]), "the damaged one is refused")
            assert "SHA-256" in listed(service)["refused"]["words"]
            assert str(folder) not in listed(service)["refused"]["words"]
            assert service.text(max_tokens=30, seed=1) in texts
            assert service.metric("unroll_models_refused") == 1
        put(folder, seed=2)
        eventually(lambda: not listed(service)["refused"], "a good version ends the refusal")
        assert service.metric("unroll_models_refused") == 0
        assert service.metric("unroll_model_loads_total", result="loaded") == 2
        assert service.metric("unroll_model_loads_total", result="refused") == 2
    assert failures == []


def test_a_stream_ends_on_the_version_it_began_with(folder: Path) -> None:
    """A running stream has the text of the old version to its end; its state does not continue the
    new one, and a version with the same weights accepts it.
    """
    slow = ("--kernel", "torch", "--burst-steps", "1")
    with RunningService(folder, *WATCHED, *slow) as service:
        fields = {"max_tokens": 1000, "seed": 3, "return_state": True}
        expected = service.text(**fields)
        with service.streaming(**fields) as events:
            text = next(events)["text"]
            put(folder, seed=9)
            eventually(
                lambda: service.metric("unroll_model_loads_total", result="loaded") == 1, "loaded"
            )
            assert service.text(max_tokens=30, seed=3) != expected[:30]
            rest = list(events)
        assert text + "".join(event.get("text", "") for event in rest) == expected
        response = service.post("/generate", {"state": rest[-1]["state"], "max_tokens": 1})
        assert response.status_code == 409
        assert error_of(response)["type"] == "foreign_state"
        put(folder, seed=0)
        eventually(
            lambda: service.metric("unroll_model_loads_total", result="loaded") == 2, "loaded"
        )
        assert service.ask("/generate", state=rest[-1]["state"], max_tokens=1)


def test_a_service_without_models_waits_for_one(tmp_path: Path) -> None:
    """It listens and is live, and not ready until the first model; then requests are served."""
    folder = tmp_path / "models"
    folder.mkdir()
    with RunningService(folder, "--watch-seconds", "0.1") as service:
        assert service.client.get("/health/live").status_code == 200
        for response in (
            service.client.get("/health/ready"),
            service.post("/generate", {"max_tokens": 1}),
        ):
            assert response.status_code == 503
            assert error_of(response)["type"] == "no_model"
        assert "no model yet" in service.output
        put(folder, seed=0)
        eventually(lambda: service.client.get("/health/ready").status_code == 200, "ready")
        assert service.text(max_tokens=3)
        assert service.metric("unroll_generated_tokens_total", model="words") == 3


def test_an_artifact_that_is_being_copied_is_not_loaded(folder: Path, tmp_path: Path) -> None:
    """While the weights grow, nothing is loaded or refused; once they are complete, the model is
    served.
    """
    put(tmp_path, seed=4, name="later")
    target = folder / "later"
    with RunningService(folder, "--watch-seconds", "0.3") as service:
        target.mkdir()
        for name in ("manifest.json", "tokenizer.json"):
            shutil.copy(tmp_path / "later" / name, target / name)
        raw = (tmp_path / "later" / "weights.safetensors").read_bytes()
        with (target / "weights.safetensors").open("wb") as file:
            for part in range(0, len(raw), len(raw) // 25 + 1):
                file.write(raw[part : part + len(raw) // 25 + 1])
                file.flush()
                time.sleep(0.02)
        eventually(lambda: "later" in listed(service)["models"], "it is served")
        assert service.metric("unroll_model_loads_total", result="loaded") == 1


def test_links_that_are_exchanged_are_followed(tmp_path: Path) -> None:
    """As in a volume of Kubernetes: the model is a link to a hidden directory, of which another
    link chooses the version.
    """
    folder = tmp_path / "models"
    put(folder / ".1", seed=0)
    put(folder / ".2", seed=1)
    (folder / "..data").symlink_to(".1")
    (folder / "words").symlink_to("..data/words")
    with RunningService(folder, *WATCHED) as service:
        assert listed(service) == {"models": ["words"], "refused": {}}
        before = service.text(max_tokens=30, seed=1)
        (folder / "..new").symlink_to(".2")
        (folder / "..new").rename(folder / "..data")
        eventually(lambda: service.text(max_tokens=30, seed=1) != before, "the new version serves")
        assert listed(service) == {"models": ["words"], "refused": {}}


def test_removed_models_end_their_requests_and_free_their_memory(folder: Path) -> None:
    """A stream of a removed model goes on to its end; then its series and its memory are gone. A
    model that comes and goes again and again takes no more memory.
    """
    tokenizer = word_tokenizer()
    spare = folder.parent / "spare"
    network = language_model(tokenizer, ends=False)
    save_language_model(spare, "large", tokenizer, _wide(network))
    slow = ("--kernel", "torch", "--burst-steps", "1")
    with RunningService(folder, *WATCHED, *slow) as service:
        process = psutil.Process(service.process.pid)
        memory = list[int]()
        for cycle in range(4):
            shutil.copytree(spare / "large", folder / "large")
            eventually(lambda: "large" in listed(service)["models"], "it is served")
            with service.streaming(model="large", max_tokens=300, seed=1) as events:
                next(events)
                shutil.rmtree(folder / "large")
                eventually(lambda: "large" not in listed(service)["models"], "it is removed")
                if cycle == 0:
                    response = service.post("/generate", {"model": "large", "max_tokens": 1})
                    assert response.status_code == 404
                assert list(events)[-1]["finish_reason"] == "length"
            eventually(
                lambda: 'model="large"' not in service.client.get("/metrics").text, "no series"
            )
            time.sleep(0.3)  # the memory is returned after the series
            memory.append(process.memory_info().rss)
        assert service.text(max_tokens=3)
    size = sum(path.stat().st_size for path in (spare / "large").iterdir())
    assert size > 30 * 2**20
    assert max(memory[1:]) - memory[0] < size, "memory of three more models is not kept"


def _wide(like: LanguageModel) -> LanguageModel:
    """A network of 8 million weights with the vocabulary of another, whose texts do not end."""
    network = LanguageModel(dataclasses.replace(like.architecture, hidden=1400))
    with torch.no_grad():
        network.output.bias.copy_(like.output.bias)
    return network


@pytest.mark.parametrize("how", ["signal", "request"])
def test_a_reload_on_demand(folder: Path, how: str) -> None:
    """SIGHUP and POST /admin/reload take over changes at once, without watching."""
    arguments = ("--watch-seconds", "0", "--default-language-model", "words")
    with RunningService(folder, *arguments, UNROLL_ADMIN_KEY=KEY) as service:
        put(folder, seed=5, name="more")
        (folder / "broken").mkdir()
        shutil.rmtree(folder / "sentiment")
        if how == "signal":
            service.signal(signal.SIGHUP)
            eventually(lambda: "more" in listed(service)["models"], "the model is added")
            eventually(lambda: "sentiment" not in listed(service)["models"], "one is removed")
        else:
            report = reload(service).json()
            assert report["loaded"] == ["more"]
            assert report["removed"] == ["sentiment"]
            assert report["unchanged"] == ["words"]
            (refused,) = report["refused"]
            assert refused["name"] == "broken"
            assert "manifest.json" in refused["reason"]
            again = reload(service).json()
            assert again["loaded"] == again["removed"] == []
            assert again["unchanged"] == ["more", "words"]
        assert listed(service)["models"] == ["more", "words"]
        assert service.text(model="more", max_tokens=2)


def test_a_folder_that_cannot_be_read_changes_nothing(folder: Path) -> None:
    """While the folder is missing, as during a failure of a network mount, all models serve on."""
    with RunningService(folder, *WATCHED, UNROLL_ADMIN_KEY=KEY) as service:
        folder.rename(folder.parent / "away")
        response = reload(service)
        assert response.status_code == 500
        assert error_of(response)["type"] == "folder_unreadable"
        assert listed(service)["models"] == ["sentiment", "words"]
        (folder.parent / "away").rename(folder)
        assert reload(service).json()["unchanged"] == ["sentiment", "words"]


def test_actions_of_the_operator_need_a_key_of_their_own(folder: Path) -> None:
    """Without settings there is no such route. With a key, neither none, a wrong one, an API key
    nor a web page reloads.
    """
    with RunningService(folder, UNROLL_API_KEYS="a-key-of-a-client") as service:
        assert reload(service).status_code == 404
        assert error_of(reload(service, "a-key-of-a-client"))["type"] == "not_found"
    with RunningService(
        folder, UNROLL_API_KEYS="a-key-of-a-client", UNROLL_ADMIN_KEY=KEY
    ) as service:
        for key in (None, "wrong", "a-key-of-a-client"):
            response = reload(service, key)
            assert response.status_code == 401
            assert error_of(response)["type"] == "unauthorized"
        response = reload(service, KEY, Origin="https://example.com")
        assert response.status_code == 403
        assert reload(service, KEY).status_code == 200
        assert KEY not in service.output


def test_actions_of_the_operator_on_a_port_of_their_own(folder: Path) -> None:
    """On the local port the action needs no key, health and metrics answer, and other routes do not
    exist; the other port has no such action.
    """
    with RunningService(folder, "--admin-port", "0") as service:
        eventually(lambda: "/admin/reload is served at" in service.output, "the port is logged")
        line = service.output.partition("/admin/reload is served at ")[2]
        address = f"http://{line.split()[0]}"
        assert reload(service).status_code == 404
        assert httpx.post(f"{address}/admin/reload").json()["unchanged"] == ["sentiment", "words"]
        assert httpx.get(f"{address}/health/ready").status_code == 200
        assert httpx.get(f"{address}/metrics").status_code == 200
        assert httpx.post(f"{address}/generate", json={"max_tokens": 1}).status_code == 404
