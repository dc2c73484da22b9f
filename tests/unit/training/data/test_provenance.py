"""Where a model comes from, as its manifest records it."""

import hashlib
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from training.data.provenance import digest_of_texts, provenance


def test_data_is_recorded_by_name_and_digest_but_not_by_place(tmp_path: Path) -> None:
    """Nobody who downloads a model learns where its maker keeps data."""
    file = tmp_path / "corpus.txt"
    file.write_bytes(b"some text")
    record = provenance(
        sources={"train": [str(file)], "valid": ["hf:people/corpus:validation"]},
        recipe={"train": [str(file)], "valid": ["hf:people/corpus:validation"], "hidden": 3},
        seed=5,
    )
    assert str(tmp_path) not in json.dumps(record)
    digest = hashlib.sha256(b"some text").hexdigest()
    assert record["data"] == {
        "train": [{"name": "corpus.txt", "bytes": 9, "sha256": digest}],
        "valid": [{"name": "hf:people/corpus:validation"}],
    }
    assert record["recipe"] == {
        "train": ["corpus.txt"],
        "valid": ["hf:people/corpus:validation"],
        "hidden": 3,
    }
    assert record["seed"] == 5
    assert "torch" in record["libraries"]  # type: ignore[operator]


def test_description_and_license_open_the_record() -> None:
    """Description and license come before the options on the model card."""
    recipe = {"description": "Knows keys.", "license": "CC0", "hidden": 3}
    record = provenance(sources={}, recipe=recipe, seed=5)
    assert list(record)[:2] == ["description", "license"]
    assert record["recipe"] == {"hidden": 3}


@given(st.lists(st.text(max_size=5)), st.lists(st.text(max_size=5)))
def test_different_lists_of_texts_have_different_digests(one: list[str], other: list[str]) -> None:
    """Moving a border between two texts is another list."""
    assert (digest_of_texts(one) == digest_of_texts(other)) == (one == other)
