"""fastText (Joulin et al., 2017) from its published package, tuned by its own search.

    python -m benchmarks.peers.fasttext_classifier --train FILE --valid FILE --test FILE
        --minutes N --threads N --seed N --answers FILE

`autotune` tries settings on the validation split for the minutes it is given, as its documentation
recommends; what it finds answers the test texts.
"""

import tempfile
from pathlib import Path

import fasttext

from benchmarks.peers.labeled_texts import Texts, peer_options, read_texts, write_answers

MARK = "__label__"


def main() -> None:
    """Trains, answers."""
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
    # not model.predict: the published package's does not know numpy 2
    asked = read_texts(options.test).texts
    answers = [model.f.predict(_line(text), 1, 0.0, "strict") for text in asked]
    chosen = [found[0][1].removeprefix(MARK) if found else "0" for found in answers]
    write_answers(options.answers, [names[int(index)] for index in chosen])


def _marked(texts: Texts, names: list[str]) -> str:
    """Lines of the index of the label and the text, as fastText reads them."""
    place = {name: index for index, name in enumerate(names)}
    rows = zip(texts.labels, texts.texts, strict=True)
    return "".join(f"{MARK}{place[label]} {_line(text)}" for label, text in rows if label in place)


def _line(text: str) -> str:
    return " ".join(text.lower().split()) + "\n"


if __name__ == "__main__":
    main()
