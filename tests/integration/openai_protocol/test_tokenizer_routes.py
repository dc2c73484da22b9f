"""POST /tokenize and /detokenize, GET /tokenizer_info."""

from __future__ import annotations

from typing import Any

import pytest

from model.artifact import load_artifact
from tests.support.service.process import RunningService, error_of

TEXT = "The é keys [END] to the\n cabinet"


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_ids_are_those_of_the_tokenizer(service: RunningService, models: Any, model: str) -> None:
    """Ids are those of the model; [END] comes first unless special tokens are declined; decoding
    returns the text of a lossless tokenizer.
    """
    tokenizer = load_artifact(models / model).tokenizer
    ids = tokenizer.encode(TEXT)
    answer = service.ask("/tokenize", model=model, prompt=TEXT)
    assert answer["tokens"] == [tokenizer.end, *ids]
    assert answer["count"] == len(ids) + 1
    assert answer["max_model_len"] == 100_000
    assert set(answer) == {"model", "count", "max_model_len", "tokens"}
    bare = service.ask("/tokenize", model=model, prompt=TEXT, add_special_tokens=False)
    assert bare["tokens"] == ids
    text = service.ask("/detokenize", model=model, tokens=answer["tokens"])["prompt"]
    assert text == tokenizer.decode(ids)
    if model == "bpe":
        assert text == TEXT


def test_a_text_and_its_ids_are_completed_alike(service: RunningService) -> None:
    """The ids of /tokenize, with [END], are a prompt that is read as the text is."""
    fields = {"model": "bpe", "max_tokens": 12, "seed": 3}
    ids = service.ask("/tokenize", model="bpe", prompt=TEXT)["tokens"]
    by_ids = service.ask("/v1/completions", prompt=ids, **fields)
    by_text = service.ask("/v1/completions", prompt=TEXT, **fields)
    assert by_ids["choices"] == by_text["choices"]


def test_the_end_is_a_token(service: RunningService, models: Any) -> None:
    """The text "[END]" alone is the token; in a longer text it is text."""
    end = load_artifact(models / "words").tokenizer.end
    for special in (False, True):
        answer = service.ask("/tokenize", prompt="[END]", add_special_tokens=special)
        assert answer["tokens"] == [end]
    longer = service.ask("/tokenize", prompt="[END] The", add_special_tokens=False)
    assert end not in longer["tokens"]
    assert service.ask("/detokenize", tokens=[end])["prompt"] == ""


def test_texts_of_tokens(service: RunningService) -> None:
    """return_token_strs names each token, parts of characters by their bytes."""
    answer = service.ask("/tokenize", model="bpe", prompt="é", return_token_strs=True)
    assert answer["token_strs"] == ["[END]", "bytes:\\xc3", "bytes:\\xa9"]


def test_tokenizer_info(service: RunningService, models: Any) -> None:
    """Special tokens and sizes, of the default model or of another one."""
    for model in ("words", "chars", "bpe"):
        tokenizer = load_artifact(models / model).tokenizer
        info = service.client.get("/tokenizer_info", params={"model": model}).json()
        assert info["model"] == model
        assert info["vocab_size"] == tokenizer.size
        assert (info["bos_token"], info["eos_token"]) == ("[END]", "[END]")
        assert info["eos_token_id"] == tokenizer.end
        assert info["unk_token_id"] == tokenizer.unknown
        assert info["unk_token"] == (None if model == "bpe" else "[UNK]")
    assert service.client.get("/tokenizer_info").json()["model"] == "words"


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": 3}, "prompt"),
        ("/tokenize", {"prompt": "a " * 100_001}, "prompt"),
        ("/tokenize", {"prompt": "a", "model": "chars", "unheard_of": 1}, "unheard_of"),
        ("/detokenize", {"tokens": [10**6]}, "tokens"),
        ("/detokenize", {"tokens": [-1]}, "tokens.0"),
        ("/detokenize", {"tokens": [True]}, "tokens.0"),
        ("/detokenize", {"tokens": [1] * 100_001}, "tokens"),
    ],
)
def test_bad_input_is_named(
    service: RunningService, path: str, fields: dict[str, Any], param: str
) -> None:
    """An error names the field."""
    response = service.post(path, fields)
    assert response.status_code == 422
    assert error_of(response)["param"] == param


def test_long_texts_are_encoded_to_the_limit(service: RunningService) -> None:
    """A text of 100,000 tokens is accepted, as a prompt of as many ids is."""
    answer = service.ask("/tokenize", model="chars", prompt="T" * 99_999)
    assert answer["count"] == 100_000
    text = service.ask("/detokenize", model="chars", tokens=answer["tokens"])["prompt"]
    assert text == "T" * 99_999
    completed = service.ask("/v1/completions", model="chars", prompt=answer["tokens"], max_tokens=1)
    assert completed["usage"]["prompt_tokens"] == 100_000
