"""Both kernels' sampling against exact probabilities, a naive oracle, and torch's log-softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.artifact import weights_of
from service.kernel.api.filters import descending
from service.kernel.api.interface import FloatArray, RowWork, Sampling
from service.kernel.native.kernel import NativeKernel
from service.kernel.pytorch.sampler import Sampler, SamplerRequest
from tests.support.service.chi_square import check_fit
from tests.support.service.native_sampler import NativeSampler, kernel_of
from tests.support.service.reference import naive_draw, naive_probabilities, random_network

pytestmark = pytest.mark.slow

VOCABULARY = 24
NEVER = (0,)
COUNTS = {3: 2, 5: 1, 20: 4}
DRAWS = 8_000
OPTIONS = {
    "plain": Sampling(),
    "hot": Sampling(temperature=1.7),
    "cold": Sampling(temperature=0.4),
    "top_k": Sampling(top_k=5),
    "top_k of one": Sampling(top_k=1),
    "top_p": Sampling(top_p=0.7),
    "min_p": Sampling(min_p=0.2),
    "penalty": Sampling(repetition_penalty=1.8),
    "reward": Sampling(repetition_penalty=0.6),
    "presence": Sampling(presence_penalty=1.5),
    "frequency": Sampling(frequency_penalty=0.8),
    "bias": Sampling(logit_bias=((0, 100.0), (2, 2.5), (9, -100.0))),
    "all at once": Sampling(
        temperature=1.3,
        top_k=15,
        top_p=0.9,
        min_p=0.05,
        repetition_penalty=1.2,
        presence_penalty=-0.3,
        frequency_penalty=0.4,
        logit_bias=((3, 1.0),),
    ),
}


Drawing = type[Sampler] | type[NativeSampler]
each_drawing = pytest.mark.parametrize("drawing", [Sampler, NativeSampler])


def example_logits(seed: int = 0) -> FloatArray:
    """Logits of one row, some above 0 and some below."""
    return (np.random.default_rng(seed).standard_normal(VOCABULARY) * 1.5).astype(np.float32)


@each_drawing
@pytest.mark.parametrize("name", OPTIONS)
def test_draws_follow_the_exact_distribution(drawing: Drawing, name: str) -> None:
    """A chi-square test over 8,000 positions sees no difference, for each option."""
    sampling = OPTIONS[name]
    logits_V = example_logits()
    seen = {3, 7, 11}
    asks = [
        SamplerRequest(sampling, position=place, seen=seen, counts=COUNTS, sample=True)
        for place in range(DRAWS)
    ]
    answers = drawing(VOCABULARY, NEVER).answer(np.tile(logits_V, (DRAWS, 1)), asks)
    counts = np.bincount(
        [answer.generated.token for answer in answers if answer.generated], minlength=VOCABULARY
    )
    check_fit(counts, naive_probabilities(logits_V.tolist(), sampling, seen, NEVER, COUNTS))


@each_drawing
@settings(deadline=None, max_examples=300)
@given(
    logits=st.lists(st.floats(-30, 30, width=32, allow_subnormal=False), min_size=2, max_size=40),
    sampling=st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.05, 0.7, 1.0, 1.5]),
        top_k=st.sampled_from([0, 1, 3, 100]),
        top_p=st.sampled_from([1.0, 0.93, 0.4, 1e-6]),
        min_p=st.sampled_from([0.0, 0.13, 1.0]),
        repetition_penalty=st.sampled_from([1.0, 1.3, 0.8]),
        presence_penalty=st.sampled_from([0.0, 0.0, 0.7, -2.0]),
        frequency_penalty=st.sampled_from([0.0, 0.0, 0.25]),
        logit_bias=st.sampled_from([(), (), ((1, 3.0),), ((0, 9.0), (1, -100.0))]),
        seed=st.integers(0, 2**64 - 1),
    ),
    position=st.integers(0, 10**6),
)
def test_a_draw_is_the_naive_draw(
    drawing: Drawing, logits: list[float], sampling: Sampling, position: int
) -> None:
    """The pruned and vectorized race has the same winner as the race without bounds."""
    seen, counts = {1}, {0: 1, 1: 3}
    logits_1V = np.array([logits], dtype=np.float32)
    ask = SamplerRequest(sampling, position=position, seen=seen, counts=counts, sample=True)
    generated = drawing(len(logits), NEVER).answer(logits_1V, [ask])[0].generated
    assert generated is not None
    expected = naive_draw(logits_1V[0].tolist(), sampling, position, seen, NEVER, counts)
    if generated.token != expected:  # only where float32 cannot tell two tokens or a border apart
        nudged = [
            naive_draw(
                (logits_1V[0] * (1 + nudge)).tolist(), sampling, position, seen, NEVER, counts
            )
            for nudge in np.linspace(-3e-6, 3e-6, 13)
        ]
        equal = np.isclose(
            logits_1V[0, generated.token], logits_1V[0, expected], rtol=1e-5, atol=1e-5
        )
        assert generated.token in nudged or equal


@each_drawing
@pytest.mark.parametrize("temperature", [0.0, 1e-300, 1e-4, 1.0])
@pytest.mark.parametrize("top_k", [0, 3])
def test_suppressed_tokens_are_not_sampled(
    drawing: Drawing, temperature: float, top_k: int
) -> None:
    """A suppressed token is not sampled, even with all the probability that float32 can hold."""
    logits_1V = np.full((1, 8), -200.0, dtype=np.float32)
    logits_1V[0, 2] = 200.0
    logits_1V[0, 5] = -199.0
    sampler = drawing(8, [2])
    for position in range(50):
        ask = SamplerRequest(
            Sampling(temperature=temperature, top_k=top_k), position=position, sample=True
        )
        generated = sampler.answer(logits_1V, [ask])[0].generated
        assert generated is not None
        assert generated.token != 2
        assert temperature == 1.0 or generated.token == 5


@each_drawing
def test_logprobs_are_those_of_the_model(drawing: Drawing) -> None:
    """Whatever the options, scores, alternatives and distributions are the plain log-softmax."""
    logits_V = example_logits(3)
    exact_V = torch.log_softmax(torch.tensor(logits_V).double(), dim=0).numpy()
    sampling = Sampling(temperature=0.5, top_k=3, repetition_penalty=2.0, top_logprobs=4)
    ask = SamplerRequest(sampling, seen={1, 2}, score=9, distribution=True, sample=True)
    answer = drawing(VOCABULARY, NEVER).answer(logits_V[None], [ask])[0]
    assert answer.scored is not None
    assert answer.generated is not None
    assert answer.logprobs_V is not None
    assert answer.scored.logprob == pytest.approx(exact_V[9], abs=1e-5)
    assert answer.generated.logprob == pytest.approx(exact_V[answer.generated.token], abs=1e-5)
    np.testing.assert_allclose(answer.logprobs_V, exact_V, atol=1e-5)
    assert [token for token, _ in answer.generated.top] == list(np.argsort(-exact_V)[:4])
    np.testing.assert_allclose(
        [p for _, p in answer.generated.top], np.sort(exact_V)[:-5:-1], atol=1e-5
    )


def test_a_row_does_not_depend_on_its_neighbors() -> None:
    """Rows of every kind, in any order and number, give the same bits as alone."""
    vocabulary = 3000
    logits_RV = (np.random.default_rng(1).standard_normal((90, vocabulary)) * 3).astype(np.float32)
    kinds = [*OPTIONS.values(), Sampling(temperature=0.0), Sampling(top_logprobs=3)]
    asks = [
        SamplerRequest(
            kinds[row % len(kinds)],
            position=row,
            seen={row},
            sample=row % 5 > 0,
            score=row,
            distribution=True,
        )
        for row in range(90)
    ]
    sampler = Sampler(vocabulary, NEVER)
    together = sampler.answer(logits_RV, asks)
    order = np.random.default_rng(2).permutation(90)
    shuffled = sampler.answer(logits_RV[order], [asks[row] for row in order])
    for place, row in enumerate(order):
        alone = sampler.answer(logits_RV[row : row + 1], [asks[row]])[0]
        for other in (together[row], shuffled[place]):
            assert (other.scored, other.generated) == (alone.scored, alone.generated)
            assert np.array_equal(other.logprobs_V, alone.logprobs_V)  # type: ignore[arg-type]


def test_logits_that_are_no_numbers_are_refused() -> None:
    """A broken network must not silently sample token 0."""
    logits_1V = np.array([[0.0, np.nan, 1.0]], dtype=np.float32)
    with pytest.raises(FloatingPointError, match="finite"):
        Sampler(3, []).answer(logits_1V, [SamplerRequest(Sampling(), sample=True)])


def test_native_logits_that_are_no_numbers_are_refused() -> None:
    """Weights that are not finite are refused at once, and sums that overflow in the step."""
    with pytest.raises(ValueError, match="finite"):
        kernel_of(np.array([0.0, np.nan], dtype=np.float32).tobytes(), frozenset())
    network = random_network("elman", 1)
    with torch.no_grad():
        network.output.weight.fill_(3e38)
        network.output.bias.fill_(3e38)
        network.initial_hidden_L1H.fill_(1.0)
        dict(network.named_parameters())["recurrent.bias_ih_l0"].fill_(9.0)
    kernel = NativeKernel(
        weights_of(network), capacity=1, end=29, suppressed=(), precision="float32"
    )
    (result,) = kernel.run([RowWork(row=0, feed=[1], sample=1)], 1)
    assert result.failed
    assert not result.generated


@each_drawing
def test_something_must_be_left_to_draw(drawing: Drawing) -> None:
    """A vocabulary in which all tokens are suppressed is refused."""
    with pytest.raises(ValueError, match="at least one token"):
        drawing(2, [0, 1]).answer(
            np.zeros((1, 2), dtype=np.float32), [SamplerRequest(Sampling(), sample=True)]
        )


@given(values=st.lists(st.integers(0, 4), min_size=1, max_size=30), count=st.integers(1, 40))
def test_descending_puts_lower_places_first_on_ties(values: list[int], count: int) -> None:
    """The same as a stable sort of everything, cut off."""
    array = np.array(values, dtype=np.float32)
    expected = sorted(range(len(values)), key=lambda place: (-values[place], place))[:count]
    assert descending(array, count).tolist() == expected
