"""POST /inspect and the routes below it, over a real socket."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.artifact import load_artifact
from service.inspection.cancellation import Cancellation
from service.inspection.language_model import LanguageModelInspector
from tests.support.service.process import RunningService, error_of
from tests.support.service.small_artifacts import LABELS

TEXT = "The keys to the old cabinet are on the table ."
SWAP = {"first": "x", "second": "y", "continuation": " z"}


def test_tokens_are_reported_with_what_was_expected(service: RunningService) -> None:
    """Surprisals agree with the log-probabilities of /score as near as int8 comes, and the tokens
    join to the text.
    """
    answer = service.ask("/inspect", text=TEXT)
    (scored,) = service.ask("/score", texts=[TEXT])["results"]
    assert "".join(token["text"] for token in answer["tokens"]) == TEXT
    for inspected, token in zip(answer["tokens"], scored["tokens"], strict=True):
        assert inspected["surprisal_bits"] == pytest.approx(
            -token["logprob"] / math.log(2), abs=0.3
        )
        assert len(inspected["top"]) == 5
        assert 0.0 < sum(successor["probability"] for successor in inspected["top"]) <= 1.0 + 1e-5
    assert answer["unknown_tokens"] == 0


def test_activations_are_those_of_the_network(service: RunningService, models: Path) -> None:
    """Activations of chosen units are JSON; those of all units are an array of float16."""
    inspector = LanguageModelInspector(load_artifact(models / "words"), 100)
    reading = inspector.read(TEXT, inspector.first(), Cancellation(), gates=True)
    chosen = service.ask("/inspect", text=TEXT, layers=[1], units=[3, 5], gates=True)
    for index, token in enumerate(chosen["tokens"], start=1):
        layer = reading.layers[1]
        assert layer.cell_TH is not None
        assert token["hidden"] == [pytest.approx(layer.hidden_TH[index, [3, 5]].tolist(), abs=1e-5)]
        assert token["cell"] == [pytest.approx(layer.cell_TH[index, [3, 5]].tolist(), abs=1e-5)]
        assert set(token["gates"]) == {"input", "forget", "output", "candidate"}
    arrays = service.ask("/inspect", text=TEXT, encoding="base64")["arrays"]
    hidden = arrays["hidden"]
    assert hidden["shape"] == [len(reading.pieces), 2, 24]
    numbers = np.frombuffer(base64.b64decode(hidden["data"]), "<f2").reshape(hidden["shape"])
    for layer_index, layer in enumerate(reading.layers):
        np.testing.assert_allclose(numbers[:, layer_index], layer.hidden_TH[1:].numpy(), atol=1e-3)


def test_reading_goes_on_from_a_kept_state(service: RunningService) -> None:
    """The first token after a state is as surprising as after the text that led to the state."""
    kept = service.ask("/generate", prompt="The keys", max_tokens=1, return_state=True, seed=1)
    whole = "The keys" + kept["choices"][0]["text"]
    after = service.ask("/inspect", text=" home", state=kept["state"])["tokens"][0]
    direct = service.ask("/inspect", text=whole + " home")["tokens"][-1]
    assert after["text"] == direct["text"]
    assert after["surprisal_bits"] == pytest.approx(direct["surprisal_bits"], abs=0.2)


def test_units_are_found_by_a_marking_of_the_request(service: RunningService) -> None:
    """Marked by a unit's own activation, that unit comes first with a correlation of 1."""
    unit = {"layer": 1, "unit": 7, "signal": "hidden"}
    tokens = service.ask("/inspect", text=TEXT, layers=[1], units=[7])["tokens"]
    marking = [token["hidden"][0][0] for token in tokens for _ in token["text"]]
    (first, *_) = service.ask("/inspect/units", text=TEXT, marking=marking)["units"]
    assert {name: first[name] for name in unit} == unit
    assert first["correlation"] == pytest.approx(1.0, abs=1e-5)
    named = service.ask(
        "/inspect/units", text=TEXT, marking="word_position", by="separation", top=3
    )
    assert len(named["units"]) == 3


def test_long_answers_are_whole(service: RunningService) -> None:
    """An answer that is encoded in slices has every token once, in order."""
    text = "The keys to the old cabinet. " * 30
    tokens = service.ask("/inspect", text=text, layers=[], top=1)["tokens"]
    assert len(tokens) > 150
    assert "".join(token["text"] for token in tokens) == text
    assert all(len(token["top"]) == 1 for token in tokens)


def test_all_markings_are_searched_in_one_request(service: RunningService) -> None:
    """Each named marking that the text has gets the units of a search of its own; the others are
    missing.
    """
    answer = service.ask("/inspect/units", text=TEXT, marking="all", top=2)
    assert {"word_position", "line_position"} <= answer["markings"].keys()
    assert "digits" not in answer["markings"]
    assert "units" not in answer
    for marking, units in answer["markings"].items():
        alone = service.ask("/inspect/units", text=TEXT, marking=marking, top=2)
        assert units == alone["units"]
        assert "markings" not in alone


def test_clamped_generation_repeats_with_its_seed(service: RunningService) -> None:
    """The unclamped text is what /generate gives in float32 for that seed, up to int8; both texts
    are the same again with the seed that was told.
    """
    fields = {"prompt": "The keys", "clamp": [{"layer": 1, "unit": 3, "value": 9.0}]}
    first = service.ask("/inspect/generate", **fields, max_tokens=20)
    again = service.ask("/inspect/generate", **fields, max_tokens=20, seed=first["seed"])
    assert again == first
    assert first["clamped"]["text"] != first["unclamped"]["text"]
    assert "".join(first["clamped"]["tokens"]) == first["clamped"]["text"]


def test_states_influence_and_continuations(service: RunningService) -> None:
    """Each view answers with a step for each token, and with numbers that are numbers."""
    states = service.ask(
        "/inspect/states", first="The keys", second="A dog", continuation=" are on"
    )
    assert [step["text"] for step in states["steps"]] == ["", " are", " on"]
    assert len(states["units"]) == 10
    influence = service.ask("/inspect/influence", text=TEXT, target=" A")
    assert influence["target"] == " A"
    assert [token["text"] for token in influence["tokens"]]
    compared = service.ask(
        "/inspect/continuations", prefix="The keys", continuations=[" are", " is"]
    )
    assert [step["text"] for step in compared["steps"]] == ["", "The", " keys"]
    assert all(len(step["logprobs"]) == 2 for step in compared["steps"])


def test_memories_are_swapped(service: RunningService) -> None:
    """With all of its memory, each text goes on as the other one; with no effect on the rest."""
    fields = {"first": "The keys", "second": "A dog", "continuation": " are on", "seed": 3}
    whole = service.ask("/inspect/swap", **fields, max_tokens=12)
    assert whole["first_swapped"] == whole["second"] != whole["first"]
    assert whole["second_swapped"] == whole["first"]
    part = service.ask("/inspect/swap", **fields, max_tokens=12, layers=[0], units=[0])
    assert (part["first"], part["second"]) == (whole["first"], whole["second"])


def test_a_document_is_read_word_by_word(service: RunningService) -> None:
    """The last probabilities are those of /classify, as near as int8 comes; contributions, unknown
    words and the nearest change are told.
    """
    text = "The dog runs home Zyzzyva"
    answer = service.ask("/inspect", text=text, model="sentiment", nearest_change=True)
    (result,) = service.ask("/classify", text=text)["results"]
    scores = {score["label"]: score["score"] for score in answer["tokens"][-1]["scores"]}
    assert set(scores) == set(LABELS)
    for score in result["scores"]:
        assert scores[score["label"]] == pytest.approx(score["score"], abs=0.02)
    assert answer["unknown_tokens"] == 1
    assert answer["tokens"][-1]["unknown"] is True
    contributions = [token["contribution"] for token in answer["tokens"]]
    attribution = answer["attribution"]
    explained = attribution["total"] - attribution["baseline"] - attribution["completeness_gap"]
    assert sum(contributions) == pytest.approx(explained, abs=1e-4)


@pytest.mark.parametrize(
    ("path", "fields", "status", "param"),
    [
        ("/inspect", {"text": TEXT, "layers": [2]}, 422, "layers"),
        ("/inspect", {"text": TEXT, "units": [24]}, 422, "units"),
        ("/inspect", {"text": "The " * 3000}, 422, "text"),
        ("/inspect", {"text": TEXT, "clamp": [{"layer": 0, "unit": 99, "value": 1}]}, 422, "clamp"),
        ("/inspect", {"text": TEXT, "state": "AAAA"}, 400, "state"),
        ("/inspect", {"text": TEXT, "model": "nobody"}, 404, "model"),
        (
            "/inspect",
            {"text": TEXT, "model": "sentiment", "clamp": [{"layer": 0, "unit": 0, "value": 1}]},
            422,
            "clamp",
        ),
        (
            "/inspect",
            {
                "model": "brief",
                "text": TEXT,
                "clamp": [{"layer": 0, "unit": 0, "value": 1, "signal": "cell"}],
            },
            422,
            "clamp",
        ),
        ("/inspect/units", {"text": TEXT, "marking": [1.0]}, 422, None),
        ("/inspect/units", {"text": TEXT, "marking": "digits"}, 422, "marking"),
        ("/inspect/units", {"text": TEXT, "marking": "moon"}, 422, None),
        ("/inspect/influence", {"text": "The ke", "target": "ys"}, 422, "target"),
        ("/inspect/generate", {"prompt": "x", "clamp": []}, 422, "clamp"),
        ("/inspect/continuations", {"prefix": "x", "continuations": []}, 422, "continuations"),
        ("/inspect/states", {"first": "x", "second": "x", "model": "sentiment"}, 409, "model"),
        ("/inspect/swap", SWAP | {"continuation": ""}, 422, "continuation"),
        ("/inspect/swap", SWAP | {"layers": [9]}, 422, "layers"),
        ("/inspect/swap", SWAP | {"units": [9999]}, 422, "units"),
        ("/inspect/swap", SWAP | {"signals": []}, 422, "signals"),
    ],
)
def test_bad_requests_name_the_field(
    service: RunningService, path: str, fields: Mapping[str, Any], status: int, param: str | None
) -> None:
    """A bad request gets a status and a message, and the service continues."""
    response = service.post(path, dict(fields))
    assert response.status_code == status, response.text
    if param is not None:
        assert error_of(response)["param"] == param


def test_inspections_of_one_client_are_bounded(models: Path) -> None:
    """A client that asks for many at once is told to come back; all that were taken in are done."""
    with RunningService(
        models, "--default-language-model", "words", "--max-waiting-inspections", "2"
    ) as running:
        body = {"text": "The keys " * 900, "units": [0]}
        with ThreadPoolExecutor(12) as pool:
            responses = list(pool.map(lambda _: running.post("/inspect", body), range(12)))
        statuses = {response.status_code for response in responses}
        assert statuses == {200, 429}
        refused = next(r for r in responses if r.status_code == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert running.ask("/inspect", text=TEXT)["tokens"]


def test_a_client_that_leaves_ends_its_inspection(service: RunningService) -> None:
    """The next inspection does not wait for the one whose client has gone."""
    long = {"text": "The keys " * 900, "clamp": [{"layer": 0, "unit": 0, "value": 0.0}]}
    began = time.monotonic()
    service.post("/inspect", {**long, "units": [0]})
    whole = time.monotonic() - began
    for _ in range(8):
        with service.connect() as connection:
            body = json.dumps({**long, "units": [0]}).encode()
            head = b"POST /inspect HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            connection.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            time.sleep(whole / 10)
    began = time.monotonic()
    service.ask("/inspect", text=TEXT)
    assert time.monotonic() - began < 4 * whole


def test_a_deadline_is_kept(service: RunningService) -> None:
    """An inspection that takes longer than it may ends with a 504."""
    fields = {"text": "The keys " * 900, "units": [0], "deadline_ms": 1}
    response = service.post("/inspect", fields)
    assert response.status_code == 504
    assert error_of(response)["type"] == "deadline_exceeded"


def test_the_arithmetic_of_a_step_gives_the_activations(service: RunningService) -> None:
    """The terms of the LSTM's formulas combine to the hidden and cell value that /inspect has."""
    inspected = service.ask("/inspect", text=TEXT, layers=[1], units=[3], gates=True)["tokens"]
    step = service.ask("/inspect/step", text=TEXT, token=4, layer=1, unit=3)
    assert step["text"] == inspected[4]["text"]
    assert [term["letter"] for term in step["terms"]] == ["i", "f", "g", "o"]
    value = {term["letter"]: term["value"] for term in step["terms"]}
    cell = value["f"] * step["cell_before"] + value["i"] * value["g"]
    assert step["cell"] == pytest.approx(cell, abs=1e-5)
    assert step["cell"] == pytest.approx(inspected[4]["cell"][0][0], abs=1e-4)
    assert step["hidden"] == pytest.approx(value["o"] * math.tanh(cell), abs=1e-5)
    assert step["hidden_before"] == pytest.approx(inspected[3]["hidden"][0][0], abs=1e-4)


@pytest.mark.parametrize(("param", "value"), [("token", 99), ("layer", 2), ("unit", 24)])
def test_a_step_that_is_not_there_is_refused(
    service: RunningService, param: str, value: int
) -> None:
    """The error names the field and the bound."""
    response = service.client.post("/inspect/step", json={"text": TEXT, param: value})
    assert response.status_code == 422
    assert error_of(response)["param"] == param


def test_words_have_vectors_neighbors_and_points(service: RunningService, models: Path) -> None:
    """Vectors are rows of the embedding, cosines fall, and all words have a point."""
    artifact = load_artifact(models / "words")
    answer = service.ask("/inspect/words", words=["cabinet", "old"], neighbors=3)
    token = artifact.tokenizer.encode(" cabinet")[-1]
    row = artifact.network.embedding.weight[token].tolist()
    first = answer["words"][0]
    assert first["vector"] == pytest.approx(row, abs=1e-5)
    cosines = [neighbor["cosine"] for neighbor in first["neighbors"]]
    assert len(cosines) == 3
    assert cosines == sorted(cosines, reverse=True)
    named = {neighbor["word"] for word in answer["words"] for neighbor in word["neighbors"]}
    assert {point["word"] for point in answer["points"]} == {"cabinet", "old", *named}
    assert 0 < answer["explained"] <= 1


def test_a_word_outside_the_vocabulary_is_refused(service: RunningService) -> None:
    """The error names the field and the word."""
    response = service.client.post("/inspect/words", json={"words": ["zyxwv"]})
    assert response.status_code == 422
    error = error_of(response)
    assert error["param"] == "words"
    assert "zyxwv" in error["message"]
