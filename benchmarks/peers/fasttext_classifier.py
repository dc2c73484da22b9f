"""fastText (Joulin et al., 2017) from its published package, tuned by its own search.

    python -m benchmarks.peers.fasttext_classifier --train FILE --valid FILE --test FILE
        --minutes N --threads N --seed N --answers FILE

`autotune` searches hyperparameters on the validation split for the given minutes, as the
documentation of fastText recommends. The best model answers the test texts.
"""

import tempfile
from pathlib import Path

import fasttext

from benchmarks.peers.labeled_texts import Texts, peer_options, read_texts, write_answers

LABEL_PREFIX = "__label__"


def main() -> None:
    """Trains, and writes the answers to the test texts."""
    options = peer_options("fasttext_classifier")
    train, valid = read_texts(options.train), read_texts(options.valid)
    names = sorted(set(train.labels))
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{split}.txt" for split in ("train", "valid")]
        for file, texts in zip(files, (train, valid), strict=True):
            file.write_text(_marked(texts, names), encoding="utf-8")
        model = fasttext.train_supervised(
            str(files[0]),
            autotuneValidationFile=str(files[1]),
            autotuneDuration=max(1, round(60 * options.minutes)),
            thread=options.threads,
            seed=options.seed,
            verbose=0,
        )
    # model.predict of the published package does not support numpy 2
    test = read_texts(options.test)
    predictions = [model.f.predict(_line(text), 1, 0.0, "strict") for text in test.texts]
    indices = [best[0][1].removeprefix(LABEL_PREFIX) if best else "0" for best in predictions]
    write_answers(options.answers, [names[int(index)] for index in indices])


def _marked(texts: Texts, names: list[str]) -> str:
    """One line for each text with the index of its label, in the format of fastText."""
    index_of = {name: index for index, name in enumerate(names)}
    return "".join(
        f"{LABEL_PREFIX}{index_of[label]} {_line(text)}"
        for label, text in zip(texts.labels, texts.texts, strict=True)
        if label in index_of
    )


def _line(text: str) -> str:
    return " ".join(text.lower().split()) + "\n"


if __name__ == "__main__":
    main()
