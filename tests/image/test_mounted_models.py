"""A container with models from outside, as docker-compose.yml mounts them."""

from __future__ import annotations

import pytest

from tests.image.conftest import LOCKED_IN
from tests.image.container import Container
from tests.image.engine import Engine
from tests.support.service.small_artifacts import save_all

pytestmark = pytest.mark.timeout(1500)


def test_serves_models_from_outside(
    engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A mounted folder takes the place of the models in the image."""
    models = tmp_path_factory.mktemp("models")
    save_all(models)
    for path in (models, *models.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    service = Container(engine, engine.start(image, *LOCKED_IN, "--volume", f"{models}:/models:ro"))
    service.wait_until_healthy()
    names = {model["name"] for model in service.ask("/models")["models"]}
    assert names == {"bpe", "brief", "chars", "sentiment", "stories", "topics", "words"}
