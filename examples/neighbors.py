"""Nearest neighbors: which of the known requests is most like a new one.

UNROLL_URL is the address of the service; start one with ``make serve``.
"""

# ruff: noqa: T201

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import httpx
import numpy as np

URL = os.environ.get("UNROLL_URL", "http://127.0.0.1:8000")
KNOWN = (
    "will it rain tomorrow",
    "play some jazz",
    "set an alarm for six in the morning",
    "transfer money to my savings account",
    "book a table for two at an italian restaurant",
    "how do you say thank you in french",
    "what is the traffic like on the way to work",
)
NEW = ("put on my favorite song", "wake me up at seven", "is it going to be sunny")


def embeddings(client: httpx.Client, texts: Sequence[str]) -> np.ndarray:
    """Vectors of length 1, one row for each text."""
    response = client.post("/embed", json={"model": "user-requests", "texts": list(texts)})
    response.raise_for_status()
    return np.array([result["embedding"] for result in response.json()["results"]])


def main(new: Sequence[str]) -> None:
    """Prints the nearest known request for each new one, with the cosine."""
    with httpx.Client(base_url=URL) as client:
        known_KF, new_NF = embeddings(client, KNOWN), embeddings(client, new)
    for text, cosines_K in zip(new, new_NF @ known_KF.T, strict=True):
        nearest = int(cosines_K.argmax())
        print(f"{text}: {KNOWN[nearest]} ({cosines_K[nearest]:.2f})")


if __name__ == "__main__":
    main(sys.argv[1:] or NEW)
