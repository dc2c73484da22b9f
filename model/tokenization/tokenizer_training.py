"""Training of word, char and bpe tokenizers. The most frequent entries are kept, ties by spelling.

Word tokens of a language model include their leading space (" keys"), so decoding concatenates
them. Apostrophes and hyphens inside a word belong to it; every punctuation mark and every other
white space is a separate token. Word tokenizers of classifiers split hyphenated words and
contractions as published word vectors do ("do" "n't", "it" "'s"), so that all negations share one
token. The regular expressions are in :mod:`model.tokenization.tokenizer_file`.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from model.errors import VocabularyError
from model.tokenization.tokenizer import END, UNKNOWN, Tokenizer
from model.tokenization.tokenizer_file import (
    CHARACTER_PATTERN,
    MAX_TOKEN_LENGTH,
    NONSPACE_PATTERN,
    SPACED_NONSPACE_PATTERN,
    SPACED_WORD_PATTERN,
    WORD_PATTERN,
)

RESERVED_TOKENS = (UNKNOWN, END, "<unk>", " <unk>")  # corpora write <unk> for a rare word


def train_word_tokenizer(
    texts: Iterable[str],
    *,
    vocabulary: int | None,
    minimum_count: int = 1,
    pretokenized: bool = False,
    lossless: bool = True,
) -> Tokenizer:
    """Trains a word tokenizer; words outside its vocabulary are encoded as [UNK].

    Args:
        texts: the training texts.
        vocabulary: number of ids, [UNK] and [END] included, or None for all words.
        minimum_count: leave out words with fewer occurrences.
        pretokenized: words are separated by white space only, as in WikiText.
        lossless: keep case and white space. Classifiers use False.

    Raises:
        VocabularyError: the texts have fewer words than ``vocabulary``.
    """
    split = pre_tokenizers.Split(*_split_rule(pretokenized=pretokenized, lossless=lossless))
    normalizer = None if lossless else _classifier_normalizer()
    words = (
        _words(split, text if normalizer is None else normalizer.normalize_str(text))
        for text in texts
    )
    counts = Counter(itertools.chain.from_iterable(words))
    backend = Backend(_word_level(counts, vocabulary, minimum_count, unit="words"))
    backend.pre_tokenizer = split
    if normalizer is not None:
        backend.normalizer = normalizer
    return _finish(backend, decoders.Fuse())


def train_char_tokenizer(
    texts: Iterable[str], *, vocabulary: int | None = None, minimum_count: int = 1
) -> Tokenizer:
    """Trains a tokenizer of characters (Unicode code points); others are encoded as [UNK].

    Args:
        texts: the training texts.
        vocabulary: number of ids, [UNK] and [END] included, or None for all characters.
        minimum_count: leave out characters with fewer occurrences.

    Raises:
        VocabularyError: the texts have fewer characters than ``vocabulary``.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    backend = Backend(_word_level(counts, vocabulary, minimum_count, unit="characters"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(CHARACTER_PATTERN), "isolated")
    return _finish(backend, decoders.Fuse())


def train_bpe_tokenizer(texts: Iterable[str], *, vocabulary: int) -> Tokenizer:
    """Trains a byte-level BPE tokenizer (Sennrich et al., 2016), lossless for any text.

    Args:
        texts: the training texts.
        vocabulary: number of ids, at least 258: 256 bytes, one merge and [END].

    Raises:
        VocabularyError: ``vocabulary`` is too small, or the texts have fewer tokens.
    """
    smallest = 258
    if vocabulary < smallest:
        raise VocabularyError(
            f"vocabulary of {vocabulary}: byte pair encoding needs at least {smallest}, "
            f"256 bytes, one merge and {END}"
        )
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=MAX_TOKEN_LENGTH,
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    size = backend.get_vocab_size() + 1
    if size < vocabulary:
        raise VocabularyError(_too_large(vocabulary, size, "tokens"))
    return _finish(backend, decoders.ByteLevel())


def extend_tokenizer(
    tokenizer: Tokenizer, texts: Iterable[str], *, vocabulary: int | None, minimum_count: int
) -> Tokenizer:
    """Adds words or characters of the texts to the vocabulary of a tokenizer.

    All ids stay the same except that of [END], which remains the last. A bpe tokenizer encodes
    every text, so it is returned unchanged.

    Args:
        tokenizer: to extend; it is not changed.
        texts: the texts with further entries.
        vocabulary: largest number of ids, or None for no bound.
        minimum_count: leave out entries with fewer occurrences.

    Raises:
        VocabularyError: the tokenizer already has more ids than ``vocabulary``.
    """
    if vocabulary is not None and vocabulary < tokenizer.size:
        raise VocabularyError(
            f"vocabulary of {vocabulary}: the tokenizer that it extends has {tokenizer.size} tokens"
        )
    if tokenizer.kind == "bpe":
        return tokenizer
    specification = json.loads(tokenizer.to_json())
    backend = Backend.from_str(json.dumps(specification))
    normalizer = backend.normalizer
    counts: Counter[str] = Counter()
    for text in texts:
        normal = text if normalizer is None else normalizer.normalize_str(text)
        counts.update(_words(backend.pre_tokenizer, normal))
    entries: dict[str, int] = specification["model"]["vocab"]
    new = [
        entry
        for entry in sorted(counts, key=lambda entry: (-counts[entry], entry))
        if counts[entry] >= minimum_count
        and entry not in entries
        and entry not in RESERVED_TOKENS
        and len(entry) <= MAX_TOKEN_LENGTH
    ]
    max_new = None if vocabulary is None else vocabulary - tokenizer.size
    specification["model"]["vocab"] = entries | {
        entry: tokenizer.end + index for index, entry in enumerate(new[:max_new])
    }
    specification["added_tokens"] = []
    return _finish(Backend.from_str(json.dumps(specification)), decoders.Fuse())


def _finish(backend: Backend, decoder: decoders.Decoder) -> Tokenizer:
    backend.decoder = decoder
    backend.add_special_tokens([END])
    return Tokenizer.from_json(backend.to_str())


def _split_rule(*, pretokenized: bool, lossless: bool) -> tuple[Regex, str, bool]:
    """Pattern, behavior and inversion of the pre-tokenizer."""
    if lossless:
        pattern = SPACED_NONSPACE_PATTERN if pretokenized else SPACED_WORD_PATTERN
        return Regex(pattern), "isolated", False
    return Regex(NONSPACE_PATTERN if pretokenized else WORD_PATTERN), "removed", True


def _classifier_normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence([normalizers.Replace("’", "'"), normalizers.Lowercase()])


def _words(split: pre_tokenizers.PreTokenizer, text: str) -> Iterator[str]:
    return (word for word, _ in split.pre_tokenize_str(text))


def _word_level(
    counts: Counter[str], vocabulary: int | None, minimum_count: int, *, unit: str
) -> models.WordLevel:
    """The most frequent entries after [UNK], which has id 0; [END] is added later."""
    for reserved in RESERVED_TOKENS:
        counts.pop(reserved, None)
    kept = [
        entry
        for entry, count in counts.items()
        if count >= minimum_count and len(entry) <= MAX_TOKEN_LENGTH
    ]
    if not kept:
        raise VocabularyError(
            f"no {unit} for a vocabulary: the data has {len(counts)} distinct ones, none of them "
            f"{minimum_count} times; give more text or a lower minimum count"
        )
    if vocabulary is not None and vocabulary > len(kept) + 2:
        raise VocabularyError(_too_large(vocabulary, len(kept) + 2, unit))
    kept.sort(key=lambda entry: (-counts[entry], entry))
    max_entries = len(kept) if vocabulary is None else vocabulary - 2
    if max_entries < 1:
        raise VocabularyError(f"vocabulary of {vocabulary}: expected at least 3")
    entries = [UNKNOWN, *kept[:max_entries]]
    return models.WordLevel(
        {entry: index for index, entry in enumerate(entries)}, unk_token=UNKNOWN
    )


def _too_large(requested: int, possible: int, unit: str) -> str:
    return (
        f"vocabulary of {requested}: the data has {unit} for {possible} only; request {possible} "
        "or fewer, or give more text"
    )
