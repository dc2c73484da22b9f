"""POST /classify."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from model.artifact import load_artifact
from model.calibration import log_probabilities
from model.networks import Classifier
from tests.support.service.process import RunningService, error_of
from tests.support.service.small_artifacts import LABELS

TEXTS = ["The dog runs home.", "Small birds sing about rivers and far green hills", "Zyzzyva!"]


def test_one_text(service: RunningService) -> None:
    """A label with its confidence, all labels with scores that sum to 1."""
    answer = service.ask("/classify", text=TEXTS[0])
    assert answer["model"] == "sentiment"
    (result,) = answer["results"]
    assert set(result) == {
        "label",
        "confidence",
        "scores",
        "token_count",
        "unknown_tokens",
        "truncated",
    }
    assert {score["label"] for score in result["scores"]} == set(LABELS)
    assert sum(score["score"] for score in result["scores"]) == pytest.approx(1)
    assert result["scores"][0] == {"label": result["label"], "score": result["confidence"]}
    assert result["token_count"] == 5
    assert result["unknown_tokens"] == 0
    assert result["truncated"] is False


def test_many_texts_are_each_as_alone(service: RunningService) -> None:
    """Texts of different lengths in one request get the results of separate requests."""
    together = service.ask("/classify", texts=TEXTS)["results"]
    for text, result in zip(TEXTS, together, strict=True):
        (alone,) = service.ask("/classify", text=text)["results"]
        assert result["label"] == alone["label"]
        assert result["confidence"] == pytest.approx(alone["confidence"], abs=1e-5)


def test_confidence_is_calibrated(service: RunningService, models: Path) -> None:
    """Scores are the softmax of the network's logits over the manifest's temperature, within the
    error of int8.
    """
    artifact = load_artifact(models / "sentiment")
    assert isinstance(artifact.network, Classifier)
    assert artifact.manifest.calibration is not None
    tokens = artifact.tokenizer.encode(TEXTS[1])
    logits_BC = artifact.network(torch.tensor([tokens]).T, torch.tensor([len(tokens)]))
    expected = torch.softmax(logits_BC[0] / artifact.manifest.calibration.temperature, dim=0)
    (result,) = service.ask("/classify", text=TEXTS[1])["results"]
    scores = {score["label"]: score["score"] for score in result["scores"]}
    for label, probability in zip(LABELS, expected.tolist(), strict=True):
        assert scores[label] == pytest.approx(probability, abs=0.01)


def test_a_text_out_of_scope_gets_its_own_label(service: RunningService, models: Path) -> None:
    """Out of scope is a label with a score, as the manifest defines it, and can be explained."""
    artifact = load_artifact(models / "topics")
    calibration = artifact.manifest.calibration
    assert isinstance(artifact.network, Classifier)
    assert calibration is not None
    answer = service.ask("/classify", texts=TEXTS, model="topics", explain=True)
    for text, result in zip(TEXTS, answer["results"], strict=True):
        tokens = artifact.tokenizer.encode(text)
        logits_BC = artifact.network(torch.tensor([tokens]).T, torch.tensor([len(tokens)]))
        expected_BA = np.exp(log_probabilities(logits_BC.numpy(), calibration))
        scores = {score["label"]: score["score"] for score in result["scores"]}
        for label, probability in zip((*LABELS, "none"), expected_BA[0], strict=True):
            assert scores[label] == pytest.approx(probability, abs=0.02)
        assert sum(scores.values()) == pytest.approx(1)
        assert result["label"] == max(scores, key=scores.__getitem__)
        assert len(result["contributions"]) == len(tokens)
    assert "none" in {result["label"] for result in answer["results"]}


def test_unknown_words_are_counted(service: RunningService) -> None:
    """Each text has the number of its words outside the vocabulary."""
    results = service.ask("/classify", texts=["Zyzzyva dog quux", "the dog"])["results"]
    assert [result["unknown_tokens"] for result in results] == [2, 0]


def test_a_document_is_continued_from_its_state(service: RunningService) -> None:
    """Parts give the scores of the whole document, within the error of int8, and count their own
    tokens; the state does not grow.
    """
    parts = ["The dog runs home.", " Small birds sing", " about rivers and far green hills"]
    state, sizes = None, set()
    for index, part in enumerate(parts):
        answer = service.ask(
            "/classify", model="stories", text=part, state=state, return_state=True
        )
        (result,) = answer["results"]
        whole = "".join(parts[: index + 1])
        (expected,) = service.ask("/classify", model="stories", text=whole)["results"]
        scores, whole_scores = (
            {score["label"]: score["score"] for score in each["scores"]}
            for each in (result, expected)
        )
        assert scores == pytest.approx(whole_scores, abs=0.02)
        state = result["state"]
        sizes.add(len(state) // 100)
        assert "state" not in expected
    assert result["token_count"] < expected["token_count"]
    assert len(sizes) <= 2  # compression makes a difference of a few bytes


def test_states_of_documents_are_refused_by_name(service: RunningService) -> None:
    """Models without such states, several texts, explain, and states of other origin."""
    (result,) = service.ask("/classify", model="stories", text="The", return_state=True)["results"]
    document = result["state"]
    sequence = service.ask("/generate", prompt="The", max_tokens=2, return_state=True)["state"]
    cases: list[tuple[dict[str, object], int, str]] = [
        ({"text": "a", "model": "sentiment", "return_state": True}, 422, "return_state"),
        ({"text": "a", "model": "sentiment", "state": document}, 422, "state"),
        ({"texts": ["a", "b"], "model": "stories", "return_state": True}, 422, "return_state"),
        (
            {"text": "a", "model": "stories", "return_state": True, "explain": True},
            422,
            "return_state",
        ),
        ({"text": "a", "model": "stories", "state": document, "explain": True}, 422, "state"),
        ({"text": "a", "model": "stories", "state": document[:-6]}, 400, "state"),
        ({"text": "a", "model": "stories", "state": sequence}, 409, "state"),
    ]
    for body, status, param in cases:
        response = service.post("/classify", body)
        assert (response.status_code, error_of(response)["param"]) == (status, param), body
    response = service.post("/generate", {"state": document})
    assert response.status_code == 409
    assert error_of(response)["type"] == "foreign_state"


def test_top_limits_the_scores(service: RunningService) -> None:
    """With top, a result has only the likeliest labels; top may exceed their number."""
    (result,) = service.ask("/classify", text=TEXTS[0], top=1)["results"]
    assert [score["label"] for score in result["scores"]] == [result["label"]]
    (result,) = service.ask("/classify", text=TEXTS[0], top=100)["results"]
    assert len(result["scores"]) == len(LABELS)


def test_contributions_are_what_leaving_a_token_out_changes(service: RunningService) -> None:
    """explain: the confidence minus the confidence in the same label without the token."""
    (result,) = service.ask("/classify", text="the dog runs home", explain=True)["results"]
    assert [each["token"] for each in result["contributions"]] == ["the", "dog", "runs", "home"]
    without = {"the": "dog runs home", "runs": "the dog home"}
    for contribution in result["contributions"]:
        if contribution["token"] in without:
            (other,) = service.ask("/classify", text=without[contribution["token"]])["results"]
            scores = {score["label"]: score["score"] for score in other["scores"]}
            expected = result["confidence"] - scores[result["label"]]
            assert contribution["contribution"] == pytest.approx(expected, abs=1e-5)


def test_explains_each_of_many_texts(service: RunningService) -> None:
    """Every text gets its own contributions, one word or many."""
    results = service.ask("/classify", texts=["dog", "the dog, home"], explain=True)["results"]
    listed = [[each["token"] for each in result["contributions"]] for result in results]
    assert listed == [["dog"], ["the", "dog", ",", "home"]]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, None),
        ({"text": "a", "texts": ["b"]}, None),
        ({"text": ""}, "text"),
        ({"text": "  \n"}, "text"),
        ({"texts": []}, "texts"),
        ({"texts": ["a", ""]}, "texts.1"),
        ({"texts": ["a"] * 65}, "texts"),
        ({"text": "a", "top": 0}, "top"),
        ({"text": "a", "explain": 1}, "explain"),
        ({"text": "dog " * 300, "explain": True}, "explain"),
        ({"text": "d" * 100_000, "explain": True}, "explain"),
        ({"text": "a\0"}, "text"),
        ({"text": 5}, "text"),
    ],
)
def test_refusals_name_the_field(
    service: RunningService, body: dict[str, object], param: str | None
) -> None:
    """Each bad request is a 422 that names the field."""
    response = service.post("/classify", body)
    assert response.status_code == 422, response.text
    assert error_of(response)["param"] == param


def test_language_models_are_refused(service: RunningService) -> None:
    """409 for a model of the wrong kind, 404 for an unknown one."""
    assert service.post("/classify", {"text": "a", "model": "words"}).status_code == 409
    explained = {"text": "a", "model": "words", "explain": True}
    assert service.post("/classify", explained).status_code == 409
    assert service.post("/classify", {"text": "a", "model": "nobody"}).status_code == 404
