"""Makes the three tokenizers from text. The vocabulary is chosen by count, ties by spelling.

Splitting rules for words: a token carries its leading space (" keys"), so decoding is joining;
apostrophes and hyphens inside a word stay in it; every punctuation mark and every other white
space is a token of its own. For classifiers, hyphenated words and contractions come apart as in
published word vectors ("do" "n't", "it" "'s"), so that every negation is one and the same word.
The expressions stand in :mod:`model.tokenization.tokenizer_file`, which takes no others. A word
longer than ``LONGEST_TOKEN`` is an unknown word. Knows no files: texts come in, a tokenizer goes
out.
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
    ANY_CHARACTER,
    BETWEEN_SPACES,
    BETWEEN_SPACES_WITH_SPACES,
    LONGEST_TOKEN,
    WORDS,
    WORDS_WITH_SPACES,
)

RESERVED = (UNKNOWN, END, "<unk>", " <unk>")  # corpora write <unk> where a rare word stood


def train_word_tokenizer(
    texts: Iterable[str],
    *,
    vocabulary: int | None,
    minimum_count: int = 1,
    pretokenized: bool = False,
    lossless: bool = True,
) -> Tokenizer:
    """Words of the data; all others become [UNK].

    ``vocabulary`` bounds the number of ids, [UNK] and [END] included (None: no bound);
    ``minimum_count`` leaves out words seen less often. ``pretokenized``: a word is what stands
    between white space, as in WikiText. ``lossless`` False lower-cases and drops white space, for
    classifiers.
    """
    split = pre_tokenizers.Split(*_split_rule(pretokenized=pretokenized, lossless=lossless))
    normalizer = None if lossless else _classifier_normalizer()
    words = (
        _words(split, text if normalizer is None else normalizer.normalize_str(text))
        for text in texts
    )
    counts = Counter(itertools.chain.from_iterable(words))
    backend = Backend(_word_level(counts, vocabulary, minimum_count, what="words"))
    backend.pre_tokenizer = split
    if normalizer is not None:
        backend.normalizer = normalizer
    return _finish(backend, decoders.Fuse())


def train_char_tokenizer(
    texts: Iterable[str], *, vocabulary: int | None = None, minimum_count: int = 1
) -> Tokenizer:
    """Characters (Unicode code points) of the data; all others become [UNK]."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    backend = Backend(_word_level(counts, vocabulary, minimum_count, what="characters"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(ANY_CHARACTER), "isolated")
    return _finish(backend, decoders.Fuse())


def train_bpe_tokenizer(texts: Iterable[str], *, vocabulary: int) -> Tokenizer:
    """Byte-level byte pair encoding (Sennrich et al., 2016): lossless for any text.

    The 256 bytes and [END] are always there, so ``vocabulary`` is at least 258.
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
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    made = backend.get_vocab_size() + 1
    if made < vocabulary:
        raise VocabularyError(_too_large(vocabulary, made, "tokens"))
    return _finish(backend, decoders.ByteLevel())


def extend_tokenizer(
    tokenizer: Tokenizer, texts: Iterable[str], *, vocabulary: int | None, minimum_count: int
) -> Tokenizer:
    """The tokenizer with what it does not know of the texts added after all it knows.

    Known tokens keep their ids, but for [END], which stays the last. Bytes spell everything, so
    bpe has nothing to add. ``vocabulary`` bounds the number of ids, ``minimum_count`` leaves out
    what is seen less often.

    Raises VocabularyError where the tokenizer has more ids than that already.
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
        and entry not in RESERVED
        and len(entry) <= LONGEST_TOKEN
    ]
    room = None if vocabulary is None else vocabulary - tokenizer.size
    specification["model"]["vocab"] = entries | {
        entry: tokenizer.end + index for index, entry in enumerate(new[:room])
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
        pattern = BETWEEN_SPACES_WITH_SPACES if pretokenized else WORDS_WITH_SPACES
        return Regex(pattern), "isolated", False
    return Regex(BETWEEN_SPACES if pretokenized else WORDS), "removed", True


def _classifier_normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence([normalizers.Replace("’", "'"), normalizers.Lowercase()])


def _words(split: pre_tokenizers.PreTokenizer, text: str) -> Iterator[str]:
    return (word for word, _ in split.pre_tokenize_str(text))


def _word_level(
    counts: Counter[str], vocabulary: int | None, minimum_count: int, *, what: str
) -> models.WordLevel:
    """The most frequent entries after [UNK], which has id 0; [END] is added last."""
    for reserved in RESERVED:
        counts.pop(reserved, None)
    kept = [
        entry
        for entry, count in counts.items()
        if count >= minimum_count and len(entry) <= LONGEST_TOKEN
    ]
    if not kept:
        raise VocabularyError(
            f"no {what} to make a vocabulary of: the data has {len(counts)} different ones, none "
            f"of them {minimum_count} times; give more text or a lower minimum count"
        )
    if vocabulary is not None and vocabulary > len(kept) + 2:
        raise VocabularyError(_too_large(vocabulary, len(kept) + 2, what))
    kept.sort(key=lambda entry: (-counts[entry], entry))
    largest = len(kept) if vocabulary is None else vocabulary - 2
    if largest < 1:
        raise VocabularyError(f"vocabulary of {vocabulary}: at least 3 are needed")
    entries = [UNKNOWN, *kept[:largest]]
    return models.WordLevel(
        {entry: index for index, entry in enumerate(entries)}, unk_token=UNKNOWN
    )


def _too_large(asked: int, possible: int, what: str) -> str:
    return (
        f"vocabulary of {asked}: the data has {what} for {possible} only; ask for {possible} or "
        "fewer, or give more text"
    )
