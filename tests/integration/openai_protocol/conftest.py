"""OpenAI's own client for the running service."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.support.service.process import PATIENCE, RunningService


def openai_client(service: RunningService, key: str = "unused") -> openai.OpenAI:
    """The published client for a service."""
    return openai.OpenAI(
        base_url=f"http://127.0.0.1:{service.port}/v1",
        api_key=key,
        max_retries=0,
        timeout=PATIENCE,
    )


@pytest.fixture(scope="session")
def client(service: RunningService) -> Iterator[openai.OpenAI]:
    """The published client, which repeats no request."""
    with openai_client(service) as opened:
        yield opened
