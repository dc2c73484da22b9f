"""The published OpenAI client: a continuation, the same as a stream, and log-probabilities.

UNROLL_URL is the address of the service; start one with ``make serve``.
"""

# ruff: noqa: T201

from __future__ import annotations

import os

from openai import OpenAI

URL = os.environ.get("UNROLL_URL", "http://127.0.0.1:8000")
MODEL = "english-word"
PROMPT = "My fellow Americans, the state of"


def main() -> None:
    """Prints a continuation twice, and the probability of a sentence."""
    with OpenAI(base_url=f"{URL}/v1", api_key=os.environ.get("UNROLL_KEY", "unused")) as client:
        answer = client.completions.create(model=MODEL, prompt=PROMPT, seed=4, temperature=0.6)
        print(answer.choices[0].text)
        chunks = client.completions.create(
            model=MODEL, prompt=PROMPT, seed=4, temperature=0.6, stream=True
        )
        print("".join(chunk.choices[0].text for chunk in chunks))
        scored = client.completions.create(
            model=MODEL, prompt="We the people", echo=True, logprobs=0, max_tokens=0
        )
        logprobs = scored.choices[0].logprobs
        assert logprobs is not None
        print(list(zip(logprobs.tokens or [], logprobs.token_logprobs or [], strict=True)))


if __name__ == "__main__":
    main()
