"""A dry run of every model before the first request.

It touches the memory, lets libraries select their code paths, and logs a model that cannot run.
"""

from __future__ import annotations

import logging

from service.engine.api.errors import EngineError
from service.engine.api.tasks import Classify, Generate, Score, Task
from service.http.dependencies import ServiceContext

logger = logging.getLogger(__name__)


async def warm_up(context: ServiceContext) -> None:
    """Run one small task of each kind for each model. A failure is logged and does not stop the
    start.
    """
    for name, artifact in context.registry.artifacts.items():
        for task in _tasks(name, artifact.manifest.kind):
            try:
                async with await context.engine.submit(task, whole=True) as reply:
                    await reply.answer()
            except EngineError as error:
                logger.error("model %s failed its dry run: %s", name, error)


def _tasks(name: str, kind: str) -> tuple[Task, ...]:
    if kind == "classifier":
        return (Classify(model=name, texts=("The first text.", "And another one.")),)
    return (
        # scores of the prompt bypass the prefix cache
        Generate(model=name, prompt="", max_tokens=4, logprobs=1, echo=True),
        Score(model=name, texts=("The",)),
    )
