"""Scores of texts, beside running streams."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from model.networks import LanguageModel
from service.engine.api.errors import InvalidTask
from service.engine.api.tasks import Generate, Score, TextsScored
from service.engine.runners.engine import EngineOptions
from tests.support.service.engine_client import language_model, serving, text_of
from tests.support.service.reference import NaiveReader

TEXTS = ("The keys to the cabinet", "", "keys naïve 🙂 are", "\n\n  ")


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_each_token_has_its_exact_logprob(tmp_path: Path, kind: str) -> None:
    """In order, joined to the text, beside a stream and in fewer rows than there are texts."""
    artifact = language_model(tmp_path, kind)
    assert isinstance(artifact.network, LanguageModel)
    stream = Generate(model="m", prompt="The", max_tokens=300)
    with serving({"m": artifact}, EngineOptions(threads=1, rows=3)) as served:
        ticket = served.submit(stream)
        (scored,) = served.ask(Score(model="m", texts=TEXTS))
        served.wait(ticket)
        alone = served.text(stream)
    assert isinstance(scored, TextsScored)
    assert text_of(served.events[ticket]) == alone
    for text, score in zip(TEXTS, scored.scores, strict=True):
        assert "".join(token.text for token in score.tokens) == text
        reader = NaiveReader(artifact.network)
        before = artifact.tokenizer.end
        for token_id, token in zip(artifact.tokenizer.encode(text), score.tokens, strict=True):
            exact_V = torch.log_softmax(reader.read(before).double(), dim=0)
            assert token.logprob == pytest.approx(float(exact_V[token_id]), abs=2e-5)
            before = token_id
        encoded = artifact.tokenizer.encode(text)
        assert score.unknown_tokens == sum(one == artifact.tokenizer.unknown for one in encoded)
        assert score.logprob == pytest.approx(sum(token.logprob for token in score.tokens))
    assert scored.prompt_tokens == sum(len(artifact.tokenizer.encode(text)) for text in TEXTS)


def test_unknown_words_are_marked(tmp_path: Path) -> None:
    """Exactly the tokens that are [UNK] are marked."""
    artifact = language_model(tmp_path, "word")
    with serving({"m": artifact}) as served:
        (scored,) = served.ask(Score(model="m", texts=("The zebra to the gnu", "The keys")))
    assert isinstance(scored, TextsScored)
    marked = [[token.text for token in score.tokens if token.unknown] for score in scored.scores]
    assert marked == [[" zebra", " gnu"], []]


@pytest.mark.parametrize("kind", ["word", "char"])
def test_the_end_is_scored_on_request(tmp_path: Path, kind: str) -> None:
    """P([END]) after the text is the model's; with it the log-probability is that of the text."""
    artifact = language_model(tmp_path, kind)
    assert isinstance(artifact.network, LanguageModel)
    end = artifact.tokenizer.end
    with serving({"m": artifact}) as served:
        (plain,) = served.ask(Score(model="m", texts=TEXTS))
        (ended,) = served.ask(Score(model="m", texts=TEXTS, end=True))
    assert isinstance(plain, TextsScored)
    assert isinstance(ended, TextsScored)
    assert plain.prompt_tokens == ended.prompt_tokens
    for text, without, score in zip(TEXTS, plain.scores, ended.scores, strict=True):
        reader = NaiveReader(artifact.network)
        for token in [end, *artifact.tokenizer.encode(text)]:
            logits_V = reader.read(token).double()
        exact = float(torch.log_softmax(logits_V, dim=0)[end])
        assert without.end is None
        assert score.end == pytest.approx(exact, abs=2e-5)
        assert score.tokens == without.tokens
        assert score.logprob == pytest.approx(without.logprob + exact, abs=1e-4)


def test_too_many_or_too_long_texts_are_refused(tmp_path: Path) -> None:
    """The error names the field and the limit."""
    options = EngineOptions(threads=1, rows=2, waiting=2, prompt_tokens=5)
    with serving({"m": language_model(tmp_path)}, options) as served:
        with pytest.raises(InvalidTask, match="texts: expected 1 to 4 texts, got 5"):
            served.submit(Score(model="m", texts=("a",) * 5))
        with pytest.raises(InvalidTask, match="texts: expected 1 to 4"):
            served.submit(Score(model="m", texts=()))
        with pytest.raises(InvalidTask, match="texts: expected at most 5 tokens, got 6"):
            served.submit(Score(model="m", texts=("abcdef",)))
        with pytest.raises(InvalidTask, match=r"texts: .*not valid Unicode"):
            served.submit(Score(model="m", texts=("a\ud800",)))
