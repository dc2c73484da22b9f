"""A plain classification server: FastAPI, and one document at a time through torch modules.

    python -m benchmarks.peers.fastapi_classifier ARTIFACT PORT

The network of the artifact runs in torch without batching, in a thread of the pool per request.
"""

import sys
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from model.artifact import load_artifact
from model.networks import Classifier


class PeerTextRequest(BaseModel):
    """The body of a request."""

    text: str


class PeerLabelResponse(BaseModel):
    """The body of a response."""

    label: str
    confidence: float


def create_app(directory: Path) -> FastAPI:
    """The application with /classify and /health."""
    artifact = load_artifact(directory)
    network, tokenizer, manifest = artifact.network, artifact.tokenizer, artifact.manifest
    if not isinstance(network, Classifier):
        raise SystemExit(f"{directory}: expected a classifier")
    temperature = 1.0 if manifest.calibration is None else manifest.calibration.temperature
    app = FastAPI()

    @app.post("/classify")
    def classify(request: PeerTextRequest) -> PeerLabelResponse:
        with torch.inference_mode():
            tokens = tokenizer.encode(request.text) or [tokenizer.end]
            tokens_T1 = torch.tensor(tokens).unsqueeze(1)
            logits_1C = network(tokens_T1, torch.tensor([len(tokens)]))
            confidence, label = torch.softmax(logits_1C[0] / temperature, dim=0).max(dim=0)
        return PeerLabelResponse(label=manifest.labels[int(label)], confidence=float(confidence))

    @app.get("/health")
    def health() -> dict[str, bool]:
        return {"ready": True}

    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(Path(sys.argv[1])), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning"
    )
