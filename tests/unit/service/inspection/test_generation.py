"""Generation with clamped units, beside that of the engine."""

from __future__ import annotations

from model.artifact import Artifact
from service.engine.api.tasks import Generate
from service.engine.runners.engine import EngineOptions
from service.inspection.cancellation import Cancellation
from service.inspection.language_model import LanguageModelInspector
from service.inspection.queries import Clamp
from service.kernel.api.interface import Sampling
from tests.support.service.engine_client import serving

SAMPLING = Sampling(seed=7, temperature=0.9)


def test_without_clamps_the_text_is_that_of_the_engine(
    artifact: Artifact, inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """The same seed gives what POST /generate gives in float32."""
    tokens = inspector.generate("The ", inspector.first(), SAMPLING, 40, cancellation)
    text = inspector.tokenizer.decode([token.token for token in tokens])
    options = EngineOptions(kernel="torch", precision="float32", threads=1)
    with serving({"m": artifact}, options) as engine:
        task = Generate(model="m", prompt="The ", max_tokens=40, sampling=SAMPLING)
        assert engine.text(task) == text


def test_a_clamped_unit_changes_the_text_and_the_seed_repeats_it(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """Units held far from where they are lead to another text, the same one each time."""
    clamps = [Clamp(1, unit, 5.0) for unit in range(4)]

    def text(held: list[Clamp]) -> list[int]:
        tokens = inspector.generate("The ", inspector.first(), SAMPLING, 40, cancellation, held)
        return [token.token for token in tokens]

    assert text(clamps) == text(clamps)
    assert text(clamps) != text([])
