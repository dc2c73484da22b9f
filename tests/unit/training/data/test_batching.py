"""Length buckets: each document once, within the budget, padding without influence."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from model.architecture import POOLINGS, ClassifierArchitecture
from model.networks import Classifier
from training.data.batching import (
    EncodedDocuments,
    collate,
    crop_documents,
    epoch_batches,
    padded_width,
    sorted_batches,
)

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 300), st.integers(0, 5))
def test_an_epoch_holds_each_document_once_within_the_budget(
    lengths: list[int], budget: int, epoch: int
) -> None:
    """No document is lost or repeated; only one that is too long alone exceeds the budget."""
    for batches in (
        epoch_batches(lengths, budget=budget, seed=1, epoch=epoch),
        sorted_batches(lengths, budget=budget),
    ):
        assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
        for batch in batches:
            width = padded_width(max(lengths[index] for index in batch))
            assert width * len(batch) <= budget or len(batch) == 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(1, 12))
def test_crops_are_windows_of_their_documents(lengths: list[int], window: int) -> None:
    """Short documents whole, of long ones a window; which one depends on seed and epoch alone."""
    documents = EncodedDocuments([list(range(length)) for length in lengths], [0] * len(lengths))
    crops = crop_documents(documents, window, seed=1, epoch=2)
    assert crops.lengths == [min(length, window) for length in lengths]
    for crop, document in zip(crops.tokens, documents.tokens, strict=True):
        assert list(crop) == list(document[crop[0] : crop[0] + window])
    assert crops == crop_documents(documents, window, seed=1, epoch=2)


def test_every_part_of_a_document_is_read_in_some_epoch() -> None:
    """Every part of a document, with its first and last token, is read in some epoch."""
    document = EncodedDocuments([list(range(20))], [0])
    crops = [crop_documents(document, 5, seed=1, epoch=epoch).tokens[0] for epoch in range(200)]
    assert {token for crop in crops for token in crop} == set(range(20))


def test_order_is_a_function_of_seed_and_epoch() -> None:
    """The same again for the same seed and epoch; another for another of either."""
    lengths = [1 + index % 17 for index in range(300)]

    def order(seed: int, epoch: int) -> list[list[int]]:
        return epoch_batches(lengths, budget=64, seed=seed, epoch=epoch)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_buckets_keep_padding_small() -> None:
    """Of very uneven documents less than a seventh of what is read is padding."""
    lengths = [1 + (index * index) % 97 for index in range(5000)]
    batches = epoch_batches(lengths, budget=1500, seed=1, epoch=0)
    widths = [padded_width(max(lengths[index] for index in batch)) for batch in batches]
    read = sum(len(batch) * width for batch, width in zip(batches, widths, strict=True))
    assert sum(lengths) / read > 6 / 7


def test_shapes_are_few() -> None:
    """Each shape costs memory for good: ten epochs of uneven documents meet only some dozens."""
    lengths = [1 + (index * index) % 97 for index in range(5000)]
    shapes = set()
    for epoch in range(10):
        for batch in epoch_batches(lengths, budget=1500, seed=1, epoch=epoch):
            shapes.add((padded_width(max(lengths[index] for index in batch)), len(batch)))
    assert len(shapes) < 80


@given(st.integers(1, 100_000))
def test_widths_are_rounded_up_by_an_eighth_at_most(length: int) -> None:
    """Never less than the document, never much more, and the same again for a rounded one."""
    width = padded_width(length)
    assert length <= width <= max(length + 1, length * 9 / 8)
    assert padded_width(width) == width


def test_a_batch_holds_the_documents() -> None:
    """Tokens, lengths and labels stand where they belong."""
    documents = EncodedDocuments([[1, 2, 3], [4]], [1, 0])
    batch = collate(documents, [1, 0])
    assert batch.lengths_B.tolist() == [1, 3]
    assert batch.labels_B.tolist() == [0, 1]
    assert batch.tokens_TB[:1, 0].tolist() == [4]
    assert batch.tokens_TB[:3, 1].tolist() == [1, 2, 3]
    assert batch.tokens == 4


def test_logits_do_not_depend_on_bucket_neighbors() -> None:
    """A document alone, and padded beside longer ones, gets the same logits but for rounding."""
    torch.manual_seed(0)
    tokens = torch.randint(0, 50, (12, 40)).tolist()
    documents = EncodedDocuments([row[: 1 + 3 * i] for i, row in enumerate(tokens)], [0] * 12)
    for cell in ("elman", "gru", "lstm"):
        for pooling in POOLINGS:
            architecture = ClassifierArchitecture(
                cell=cell,
                vocabulary=50, embedding=8, hidden=8, layers=2, bidirectional=True,
                pooling=pooling,
                mlp=8, labels=3,
            )  # fmt: skip
            network = Classifier(architecture).eval()
            with torch.no_grad():
                together = collate(documents, range(12))
                logits_BC = network(together.tokens_TB, together.lengths_B)
                for index in range(12):
                    alone = collate(documents, [index])
                    expected_1C = network(alone.tokens_TB, alone.lengths_B)
                    torch.testing.assert_close(logits_BC[index : index + 1], expected_1C)
