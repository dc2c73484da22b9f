"""Baselines of text classification behind one interface: a linear SVM and fastText.

    python -m benchmarks.peers.text_models svm|fasttext MODEL PORT

serves a saved model as /classify in FastAPI. The SVM of scikit-learn has TF-IDF features of word
uni- and bigrams, fastText has word bigrams; both with their usual settings.
"""

import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.peers.labeled_texts import Texts

SVM_STRENGTH = 1.0
FASTTEXT_OPTIONS = {"epoch": 25, "lr": 0.5, "wordNgrams": 2, "dim": 100}
LABEL_PREFIX = "__label__"
Classify = Callable[[str], tuple[str, float]]


class PeerTextRequest(BaseModel):
    """The body of a request."""

    text: str


class PeerLabelResponse(BaseModel):
    """The body of a response. ``score``: of the label; its unit depends on the model."""

    label: str
    score: float


def train_svm(texts: Texts, file: Path) -> None:
    """Trains the SVM and writes it. Raises ImportError without scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415 - optional peer
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.svm import LinearSVC  # noqa: PLC0415

    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+")
    pipeline = make_pipeline(features, LinearSVC(C=SVM_STRENGTH, random_state=0))
    file.write_bytes(pickle.dumps(pipeline.fit(texts.texts, texts.labels)))


def load_svm(file: Path) -> Classify:
    """The SVM of a file that `train_svm` wrote, with three labels or more."""
    pipeline = pickle.loads(file.read_bytes())  # noqa: S301 - written by this benchmark
    names = [str(name) for name in pipeline.classes_]

    def classify(text: str) -> tuple[str, float]:
        scores = pipeline.decision_function([text])[0]
        best = int(scores.argmax())
        return names[best], float(scores[best])

    return classify


def train_fasttext(texts: Texts, file: Path) -> None:
    """Trains fastText and writes it. Raises ImportError without fastText."""
    import fasttext  # noqa: PLC0415 - optional peer

    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "train.txt"
        pairs = zip(texts.labels, texts.texts, strict=True)
        lines.write_text(
            "".join(f"{LABEL_PREFIX}{label} {_line(text)}" for label, text in pairs),
            encoding="utf-8",
        )
        model = fasttext.train_supervised(
            str(lines), thread=1, seed=0, verbose=0, **FASTTEXT_OPTIONS
        )
    model.save_model(str(file))


def load_fasttext(file: Path) -> Classify:
    """The fastText model of a file that `train_fasttext` wrote."""
    import fasttext  # noqa: PLC0415 - optional peer

    model: Any = fasttext.load_model(str(file))

    def classify(text: str) -> tuple[str, float]:
        # model.predict of the published package does not support numpy 2
        best = model.f.predict(_line(text), 1, 0.0, "strict")
        probability, label = best[0] if best else (0.0, "")
        return str(label).removeprefix(LABEL_PREFIX), float(probability)

    return classify


LOADERS: dict[str, Callable[[Path], Classify]] = {"svm": load_svm, "fasttext": load_fasttext}
TRAINERS: dict[str, Callable[[Texts, Path], None]] = {
    "svm": train_svm,
    "fasttext": train_fasttext,
}


def create_app(classify_text: Classify) -> FastAPI:
    """The application with /classify and /health. A text takes too little time for a thread."""
    app = FastAPI()

    @app.post("/classify")
    async def classify(request: PeerTextRequest) -> PeerLabelResponse:
        label, score = classify_text(request.text)
        return PeerLabelResponse(label=label, score=score)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ready": True}

    return app


def _line(text: str) -> str:
    return " ".join(text.lower().split()) + "\n"


def main() -> None:
    """Serves the model."""
    kind, file, port = sys.argv[1:]
    app = create_app(LOADERS[kind](Path(file)))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
