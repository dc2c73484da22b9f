"""The Python client with asyncio: classifies the lines of standard input, 16 requests at a time.

UNROLL_URL is the address of the service, or of several replicas with spaces between.
"""

# ruff: noqa: T201

from __future__ import annotations

import asyncio
import os
import sys

from unroll_client import AsyncClient, ClassifiedText

URLS = os.environ.get("UNROLL_URL", "http://127.0.0.1:8000").split()


async def main() -> None:
    """Prints the label of each line, in order."""
    texts = [line.strip() for line in sys.stdin if line.strip()]
    places = asyncio.Semaphore(16)

    async def classify(text: str) -> ClassifiedText:
        async with places:
            return await client.classify(text, top=1)

    async with AsyncClient(URLS) as client:
        for result in await asyncio.gather(*map(classify, texts)):
            print(f"{result.label}\t{result.confidence:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
