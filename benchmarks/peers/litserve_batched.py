"""LitServe with batching and streaming, configured for throughput as its documentation recommends.

    python -m benchmarks.peers.litserve_batched ARTIFACT PORT STREAMS

`predict` takes the whole batch and yields one token for every row at a time. The batch size is the
number of streams, with a short timeout. There is one worker: a second one would halve the batches
and share the same two cores. Messages use the fast (ZeroMQ) queue.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import litserve
import torch

from benchmarks.peers.network import PlainNetwork, load_plain
from model.tokenization.tokenizer import Tokenizer


class BatchedGeneration(litserve.LitAPI):  # type: ignore[misc] # published without types
    """Runs a batch of requests to the longest `max_tokens` among them."""

    network: PlainNetwork
    tokenizer: Tokenizer

    def setup(self, device: str) -> None:  # noqa: ARG002 - the name is LitServe's
        self.network, self.tokenizer = load_plain(Path(sys.argv[1]))

    def decode_request(self, request: dict[str, Any]) -> tuple[list[int], int]:
        return self.tokenizer.encode(request["prompt"]), int(request["max_tokens"])

    def predict(self, batch: list[tuple[list[int], int]]) -> Iterator[list[str]]:
        # Prompts of one length, as the load generator sends them, need no padding.
        prompts_TB = torch.tensor([prompt for prompt, _ in batch]).T
        _, state = self.network(prompts_TB[:-1])
        tokens_B = prompts_TB[-1]
        for _ in range(max(length for _, length in batch)):
            tokens_B, state = self.network.step(tokens_B, state)
            yield [self.tokenizer.text_of(token) for token in tokens_B.tolist()]

    # Any, because LitServe makes a response model of the return annotation.
    def encode_response(self, batches: Iterator[list[str]]) -> Any:
        for texts in batches:
            yield [f"data: {json.dumps({'text': text})}\n\n" for text in texts]


if __name__ == "__main__":
    streams = int(sys.argv[3])
    api = BatchedGeneration(
        max_batch_size=max(2, streams), batch_timeout=0.02 if streams > 1 else 0.0, stream=True
    )
    server = litserve.LitServer(api, accelerator="cpu", timeout=False, fast_queue=True)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning"
    )
