"""The Python client: streams a text, classifies one, and resumes a text from its state.

UNROLL_URL is the address of the service; start one with ``make serve``.
"""

# ruff: noqa: T201

from __future__ import annotations

import os

from unroll_client import Client, GenerateOptions

URL = os.environ.get("UNROLL_URL", "http://127.0.0.1:8000")


def main() -> None:
    """Sends three kinds of requests and prints the answers."""
    prompt = "To my fellow Americans, the state of"
    options: GenerateOptions = {"temperature": 0.6, "seed": 4}
    with Client(URL) as client:
        print(prompt, end="", flush=True)
        with client.stream(prompt, max_tokens=24, **options) as stream:
            for part in stream:
                print(part.text, end="", flush=True)
        print()

        result = client.classify("A warm and funny film.", top=1)
        print(f"{result.label} ({result.confidence:.1%})")

        # The state continues exactly where the first text ended, at any later time.
        first = client.generate(prompt, max_tokens=6, return_state=True, **options)
        second = client.generate(state=first.state, max_tokens=18, **options)
        print(prompt + first.text + second.text)


if __name__ == "__main__":
    main()
