"""The model card of an artifact, ``README.md``, generated from its manifest and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from model.architecture import architecture_fields
from model.manifest import Manifest
from model.tokenization.tokenizer import Tokenizer

MAX_SHOWN_ENTRIES = 8  # entries of a list that the card shows in full
TITLES = {"language-model": "language model", "classifier": "document classifier"}


def model_card(manifest: Manifest, tokenizer: Tokenizer) -> str:
    """The card as Markdown: description, license, labels, metrics, architecture, provenance."""
    return "\n".join(_lines(manifest, tokenizer)).rstrip() + "\n"


def _lines(manifest: Manifest, tokenizer: Tokenizer) -> Iterator[str]:
    provenance = dict(manifest.provenance)
    yield f"# {manifest.name}, version {manifest.version}"
    yield ""
    description = provenance.pop("description", None)
    if description:
        yield f"{description}"
        yield ""
    yield (
        f"A recurrent {TITLES[manifest.kind]} ({manifest.architecture.cell}) over "
        f"{tokenizer.size} {tokenizer.kind} tokens, made and served by Unroll."
    )
    licence = provenance.pop("licence", None)  # the key of earlier artifacts
    license_text = provenance.pop("license", licence)
    if license_text:
        yield ""
        yield f"License: {license_text}"
    if manifest.labels:
        yield ""
        yield f"Labels: {', '.join(manifest.labels)}."
    if manifest.answers != manifest.labels:
        yield ""
        yield f"A text that belongs to none of these is answered {manifest.answers[-1]}."
    if manifest.thresholds is not None:
        yield ""
        yield (
            "A text has each label whose probability is at least the label's threshold, or none. "
            "The thresholds were chosen on validation data:"
        )
        yield ""
        for label, threshold in zip(manifest.labels, manifest.thresholds, strict=True):
            yield f"- {label}: {threshold:.3f}"
    yield from _table("Metrics", manifest.metrics)
    yield from _table("Architecture", architecture_fields(manifest.architecture))
    for title, value in provenance.items():
        rows = value if isinstance(value, Mapping) else {title: value}
        yield from _table(title.replace("_", " ").capitalize(), rows)


def _table(title: str, rows: Mapping[str, object]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield f"## {title}"
    yield ""
    yield "| what | value |"
    yield "|---|---|"
    for name, value in rows.items():
        yield f"| {name.replace('_', ' ')} | {_cell(value)} |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return _listed(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("|", "\\|").replace("\n", " ")


def _listed(values: Sequence[object]) -> str:
    """The entries, files by name and size; of a long list the count, the first and the last."""
    shown = [
        f"{value['name']} ({value['bytes']:,} bytes)"
        if isinstance(value, Mapping) and {"name", "bytes"} <= value.keys()
        else _cell(value)
        for value in values
    ]
    if len(shown) <= MAX_SHOWN_ENTRIES:
        return ", ".join(shown)
    return f"{len(shown)}, from {shown[0]} to {shown[-1]}; all in manifest.json"
