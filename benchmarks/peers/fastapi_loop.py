"""A plain generation server: FastAPI, and a loop over nn.LSTM in every request.

    python -m benchmarks.peers.fastapi_loop ARTIFACT PORT

Requests are not batched: each runs its own steps in a thread of the pool.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from benchmarks.peers.network import load_plain


class LoopRequest(BaseModel):
    """The body of a request."""

    prompt: str
    max_tokens: int


def create_app(directory: Path) -> FastAPI:
    """The application with /generate, which streams tokens, and /health."""
    network, tokenizer = load_plain(directory)
    app = FastAPI()

    def tokens(request: LoopRequest) -> Iterator[str]:
        prompt_T1 = torch.tensor(tokenizer.encode(request.prompt)).unsqueeze(1)
        _, state = network(prompt_T1[:-1]) if len(prompt_T1) > 1 else (None, None)
        token_B = prompt_T1[-1]
        for _ in range(request.max_tokens):
            token_B, state = network.step(token_B, state)
            yield f'data: {{"text": "{tokenizer.text_of(int(token_B))}"}}\n\n'

    @app.post("/generate")
    def generate(request: LoopRequest) -> StreamingResponse:
        return StreamingResponse(tokens(request), media_type="text/event-stream")

    @app.get("/health")
    def health() -> dict[str, bool]:
        return {"ready": True}

    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning"
    )
