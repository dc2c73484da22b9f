"""A client in Python: streams a text, classifies one, and resumes a text from its state.

UNROLL_URL is the address of the service; start one with ``make serve``.
"""

# ruff: noqa: T201

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx

URL = os.environ.get("UNROLL_URL", "http://127.0.0.1:8000")


def stream(client: httpx.Client, **request: Any) -> Iterator[str]:
    """Yields the text of each event of a streamed continuation as it arrives.

    Raises:
        httpx.HTTPStatusError: the service refused the request.
        RuntimeError: the continuation failed after it had started.
    """
    with client.stream("POST", "/generate", json={**request, "stream": True}) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                if "error" in event:
                    raise RuntimeError(event["error"]["message"])
                yield event.get("text", "")


def post(client: httpx.Client, route: str, **request: Any) -> Any:
    """Sends a request and returns the answer as Python values."""
    response = client.post(route, json=request)
    response.raise_for_status()
    return response.json()


def main() -> None:
    """Sends three kinds of requests and prints the answers."""
    prompt = "To my fellow Americans, the state of"
    with httpx.Client(base_url=URL, timeout=30) as client:
        print(prompt, end="", flush=True)
        for text in stream(client, prompt=prompt, max_tokens=24, temperature=0.6, seed=4):
            print(text, end="", flush=True)
        print()

        answer = post(client, "/classify", text="A warm and funny film.", top=1)
        result = answer["results"][0]
        print(f"{result['label']} ({result['confidence']:.1%})")

        # The state continues exactly where the first text ended, at any later time.
        options = {"temperature": 0.6, "seed": 4}
        first = post(client, "/generate", prompt=prompt, max_tokens=6, return_state=True, **options)
        second = post(client, "/generate", state=first["state"], max_tokens=18, **options)
        print(prompt + first["choices"][0]["text"] + second["choices"][0]["text"])


if __name__ == "__main__":
    main()
