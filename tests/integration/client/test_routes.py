"""Every method of the client with a real service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.service.process import RunningService
from unroll_client import AsyncClient, Client, RequestRefusedError

PROMPT = "The keys to the old cabinet"


@pytest.fixture(scope="module")
def client(service: RunningService) -> Iterator[Client]:
    """A client of the service."""
    with Client(f"http://127.0.0.1:{service.port}") as client:
        yield client


def test_models(client: Client) -> None:
    """All models are listed, and one by its name."""
    names = [model.name for model in client.models()]
    assert {"words", "chars", "bpe", "sentiment"} <= set(names)
    assert client.model("sentiment").labels == ["negative", "neutral", "positive"]
    assert client.model("words").default


def test_a_state_continues_the_text(client: Client) -> None:
    """Two generations with a state between them are one text."""
    whole = client.generate(PROMPT, model="words", max_tokens=12, seed=3)
    first = client.generate(PROMPT, model="words", max_tokens=5, seed=3, return_state=True)
    second = client.generate(state=first.state, model="words", max_tokens=7)
    assert first.text + second.text == whole.text
    assert whole.choices[0].finish_reason == "length"


def test_a_stream_is_the_generation(client: Client) -> None:
    """The parts of a stream join to the choices of the same request, with their tokens."""
    with client.stream(PROMPT, model="chars", max_tokens=9, seed=5, n=2, logprobs=2) as stream:
        texts = ["", ""]
        for part in stream:
            texts[part.index] += part.text
    answer = client.generate(PROMPT, model="chars", max_tokens=9, seed=5, n=2, logprobs=2)
    assert stream.result().choices == answer.choices
    assert texts == [choice.text for choice in answer.choices]
    assert len(answer.choices[0].tokens[0].top) == 2


def test_a_stream_that_is_left_is_cancelled(client: Client, service: RunningService) -> None:
    """Leaving the block closes the connection, and the client goes on with other requests."""
    with client.stream(PROMPT, model="words", max_tokens=1000) as stream:
        assert next(iter(stream)).text
    with pytest.raises(ValueError, match="not ended"):
        stream.result()
    assert client.generate(PROMPT, model="words", max_tokens=1).text


def test_next_words(client: Client) -> None:
    """Words with probabilities, best first."""
    found = client.next_word(PROMPT, top=3, end=True, model="words")
    assert len(found.words) == 3
    assert found.words[0].probability >= found.words[1].probability
    assert found.end is not None


def test_scores(client: Client) -> None:
    """The log-probability of a text is the sum of those of its tokens and its end."""
    (score,) = client.score([PROMPT], end=True, model="words")
    assert score.end_logprob is not None
    logprob = sum(token.logprob for token in score.tokens) + score.end_logprob
    assert score.logprob == pytest.approx(logprob, abs=1e-3)


def test_classifications(client: Client) -> None:
    """One text and several texts get the same labels; explanations have a part for each token."""
    one = client.classify("a dog near", model="sentiment", explain=True)
    first, _ = client.classify_all(["a dog near", "rivers"], model="sentiment", top=1)
    assert one.label == first.label
    assert len(one.contributions) == one.token_count
    assert len(first.scores) == 1


def test_a_document_grows(client: Client) -> None:
    """The state of a document continues it."""
    whole = client.classify("a dog near the cats", model="stories")
    begun = client.classify("a dog near", model="stories", return_state=True)
    ended = client.classify(" the cats", model="stories", state=begun.state)
    assert ended.label == whole.label


def test_embeddings_and_tokens(client: Client) -> None:
    """Vectors have length 1, and token ids decode to their text."""
    first, second = client.embed(["a dog near", "rivers"], model="sentiment")
    assert sum(value * value for value in first.embedding) == pytest.approx(1, abs=1e-4)
    assert len(first.embedding) == len(second.embedding)
    ids = client.tokenize(PROMPT, model="words", return_token_strs=True)
    assert "".join(ids.token_strs[1:]) == PROMPT
    assert client.detokenize(ids.tokens, model="words") == PROMPT


def test_inspections(client: Client) -> None:
    """An inspection has the tokens, the whole answer, and the routes below it."""
    seen = client.inspect(PROMPT, model="words", layers=[0], units=[1])
    assert len(seen.tokens) == len(seen.fields["tokens"]) > 0
    influence = client.inspect_by("influence", text=PROMPT, model="words")
    assert influence["tokens"]


def test_refusals_name_the_field(client: Client) -> None:
    """A refusal is an exception with the field, before and in a stream."""
    with pytest.raises(RequestRefusedError) as caught:
        client.generate(PROMPT, temperature=-1)
    assert caught.value.param == "temperature"
    with client.stream(PROMPT, model="nobody") as stream, pytest.raises(RequestRefusedError):
        next(iter(stream))


def test_asyncio(service: RunningService) -> None:
    """The client of asyncio has the same methods and answers."""

    async def ask() -> None:
        async with AsyncClient(f"http://127.0.0.1:{service.port}") as client:
            models, model = await asyncio.gather(client.models(), client.model("words"))
            assert model in models
            answer = await client.generate(PROMPT, max_tokens=4, seed=1)
            async with client.stream(PROMPT, max_tokens=4, seed=1) as stream:
                text = "".join([part.text async for part in stream])
            assert (await stream.result()).text == text == answer.text
            assert (await client.next_word(PROMPT, top=1)).words
            assert (await client.score([PROMPT]))[0].tokens
            assert (await client.classify("a dog", model="topics")).label
            assert len(await client.classify_all(["a", "dog"], model="topics")) == 2
            assert len(await client.embed(["a", "dog"], model="topics")) == 2
            ids = (await client.tokenize(PROMPT, model="words")).tokens
            assert await client.detokenize(ids, model="words") == PROMPT
            assert (await client.inspect(PROMPT, model="words")).tokens
            assert (await client.inspect_by("influence", text=PROMPT, model="words"))["tokens"]

    asyncio.run(ask())
