"""TF-IDF and a linear support vector machine by scikit-learn, a common baseline.

    python -m benchmarks.peers.linear_classifier --train FILE --valid FILE --test FILE
        --minutes N --threads N --seed N --answers FILE

Features are word uni- and bigrams or character 1- to 5-grams within words, with sublinear term
frequency. Features and regularization strength are selected on the validation split within the
given minutes.
"""

import os
import time
from collections.abc import Iterator

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from benchmarks.peers.labeled_texts import peer_options, read_texts, write_answers

STRENGTHS = (0.1, 0.3, 1.0, 3.0)


def candidates(seed: int) -> Iterator[Pipeline]:
    """Yields the pipelines to select from."""
    for analyzer, longest in (("word", 2), ("char_wb", 5)):
        for strength in STRENGTHS:
            yield make_pipeline(
                TfidfVectorizer(
                    analyzer=analyzer,
                    ngram_range=(1, longest),
                    sublinear_tf=True,
                    token_pattern=r"\S+" if analyzer == "word" else None,
                ),
                LinearSVC(C=strength, random_state=seed),
            )


def main() -> None:
    """Trains, selects, and writes the answers to the test texts."""
    options = peer_options("linear_classifier")
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    begin = time.monotonic()
    train, valid = read_texts(options.train), read_texts(options.valid)
    best, best_accuracy, longest = None, -1.0, 0.0
    for candidate in candidates(options.seed):
        start = time.monotonic()
        if start - begin + longest > 60 * options.minutes:
            break
        accuracy = candidate.fit(train.texts, train.labels).score(valid.texts, valid.labels)
        if accuracy > best_accuracy:
            best, best_accuracy = candidate, accuracy
        longest = max(longest, time.monotonic() - start)
    if best is None:
        raise SystemExit("linear_classifier: --minutes: expected more than 0")
    write_answers(options.answers, best.predict(read_texts(options.test).texts).tolist())


if __name__ == "__main__":
    main()
