"""Lines about perplexities, with the unit that they are counted in."""

from __future__ import annotations

from model.tokenization.tokenizer import Tokenizer
from training.evaluation.metric_names import format_loss, format_perplexity
from training.evaluation.perplexity import Likelihood

UNITS = {"word": "word", "char": "character", "bpe": "BPE unit"}


def comparison(tokenizer: Tokenizer) -> str:
    """The perplexities of others that one per token can be compared with."""
    if tokenizer.kind == "word":
        return (
            "this perplexity is per word, punctuation mark and line end, with one [UNK] for all "
            "unknown words; it compares with published ones on the same text with this vocabulary"
        )
    return (
        f"this perplexity is per {UNITS[tokenizer.kind]}; it compares with no perplexity per word. "
        "`evaluate` gives that, too"
    )


def split_summary(name: str, measured: Likelihood, *, total: int, word_perplexity: float) -> str:
    """The perplexity of a split per token and per word."""
    rest = "" if measured.count >= total else f" of {total:,}"
    return (
        f"{name}: loss {format_loss(measured.loss)}, perplexity "
        f"{format_perplexity(measured.perplexity)} per token, "
        f"{format_perplexity(word_perplexity)} per word between white space, over "
        f"{measured.count:,} tokens{rest}"
    )
