"""The networks against torch's modules, regularization and document boundaries."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from model.architecture import CELLS, POOLINGS, ClassifierArchitecture, LanguageModelArchitecture
from model.networks import Classifier, LanguageModel
from model.recurrent import TORCH_MODULES
from model.regularization import Regularization
from model.state import State

DEPTHS = (1, 2, 3)


def language_model(
    cell: str, layers: int, regularization: Regularization | None = None, **more: Any
) -> LanguageModel:
    """A small model with random weights and a random initial state."""
    torch.manual_seed(layers)
    shape = {"vocabulary": 23, "embedding": 10, "hidden": 12, **more}
    architecture = LanguageModelArchitecture(cell=cell, layers=layers, **shape)  # type: ignore[arg-type]
    network = LanguageModel(architecture, regularization or Regularization())
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def classifier(cell: str, **more: Any) -> Classifier:
    """A small classifier of three labels with random weights."""
    torch.manual_seed(1)
    shape: dict[str, Any] = {
        "vocabulary": 23,
        "embedding": 10,
        "hidden": 12,
        "layers": 2,
        "mlp": 8,
        "labels": 3,
        **more,
    }
    network = Classifier(ClassifierArchitecture(cell=cell, **shape))  # type: ignore[arg-type]
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


def torch_state(network: LanguageModel | Classifier, batch: int) -> Tensor | tuple[Tensor, Tensor]:
    """The learned initial state in the form of torch's modules."""
    hidden = network.initial_hidden_L1H.repeat(1, batch, 1)
    if network.architecture.cell != "lstm":
        return hidden
    return hidden, network.initial_cell_L1H.repeat(1, batch, 1)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", DEPTHS)
@pytest.mark.parametrize("shape", [{}, {"projection": 10, "tied": True}], ids=["plain", "tied"])
def test_logits_equal_torch_modules(cell: str, layers: int, shape: dict[str, Any]) -> None:
    """Logits of every cell and depth equal those of torch's module with the same weights."""
    network = language_model(cell, layers, **shape)
    reference = TORCH_MODULES[cell](10, 12, layers)
    reference.load_state_dict(network.recurrent.state_dict())
    tokens_TB = torch.randint(23, (9, 4))
    logits_TBV, state = network(tokens_TB, network.initial_state(4))
    hidden_TBH, last = reference(network.embedding(tokens_TB), torch_state(network, 4))
    if network.projection is not None:
        hidden_TBH = network.projection(hidden_TBH)
    torch.testing.assert_close(logits_TBV, network.output(hidden_TBH))
    torch.testing.assert_close(state.hidden_LBH, last[0] if cell == "lstm" else last)
    assert network.architecture.tied == (network.output.weight is network.embedding.weight)


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_continues_a_window(cell: str) -> None:
    """Two windows with a carried state give the logits of one long window."""
    network = language_model(cell, 2)
    tokens_TB = torch.randint(23, (10, 3))
    whole_TBV, end = network(tokens_TB, network.initial_state(3))
    first_TBV, state = network(tokens_TB[:4], network.initial_state(3))
    second_TBV, again = network(tokens_TB[4:], state.detach())
    torch.testing.assert_close(torch.cat([first_TBV, second_TBV]), whole_TBV)
    torch.testing.assert_close(again.hidden_LBH, end.hidden_LBH)


@pytest.mark.parametrize("cell", CELLS)
def test_no_state_crosses_a_document_boundary(cell: str) -> None:
    """From a start on, a row gives the logits it has alone; other rows are not changed."""
    network = language_model(cell, 2)
    tokens_TB = torch.randint(23, (10, 3))
    starts_TB = torch.zeros(10, 3, dtype=torch.bool)
    starts_TB[0, 0] = starts_TB[4, 1] = starts_TB[7, 1] = True
    carried = network(torch.randint(23, (5, 3)), network.initial_state(3))[1]
    logits_TBV, _ = network(tokens_TB, carried, starts_TB)
    plain_TBV, _ = network(tokens_TB, carried)
    for row, begin, end in ((0, 0, 10), (1, 4, 7), (1, 7, 10)):
        alone, _ = network(tokens_TB[begin:end, row : row + 1], network.initial_state(1))
        torch.testing.assert_close(logits_TBV[begin:end, row], alone[:, 0])
    torch.testing.assert_close(logits_TBV[:4, 1], plain_TBV[:4, 1])
    torch.testing.assert_close(logits_TBV[:, 2], plain_TBV[:, 2])


@pytest.mark.parametrize("cell", CELLS)
def test_every_parameter_learns_under_regularization(cell: str) -> None:
    """With every kind of dropout each parameter, h0 included, gets a gradient and changes."""
    drop = Regularization(input=0.2, hidden=0.2, output=0.2, weight=0.3, embedding=0.1)
    network = language_model(cell, 2, drop)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    logits_TBV, _ = network(torch.randint(23, (9, 4)), network.initial_state(4))
    nn.functional.cross_entropy(logits_TBV.flatten(0, 1), torch.randint(23, (36,))).backward()
    optimizer.step()
    for name, parameter in network.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_regularization_is_off_in_evaluation() -> None:
    """Dropout has no effect in evaluation mode; in training mode two passes differ."""
    drop = Regularization(input=0.5, hidden=0.5, output=0.5, weight=0.5, embedding=0.5)
    network = language_model("lstm", 2, drop)
    tokens_TB = torch.randint(23, (9, 4))
    trained = [network(tokens_TB, network.initial_state(4))[0] for _ in range(2)]
    assert not torch.equal(*trained)
    network.eval()
    plain = language_model("lstm", 2)
    expected = plain(tokens_TB, plain.initial_state(4))[0]
    torch.testing.assert_close(network(tokens_TB, network.initial_state(4))[0], expected)


def test_dropout_masks_are_locked_over_time() -> None:
    """A feature is dropped at all time steps, and a word type throughout the window."""
    network = language_model("gru", 1, Regularization(output=0.5))
    encoded = network.encode(torch.randint(23, (9, 4)), network.initial_state(4))
    dropped_TBH = encoded.dropped_TBH == 0
    assert torch.equal(dropped_TBH.any(dim=0), dropped_TBH.all(dim=0))
    assert 0 < dropped_TBH.float().mean() < 1


def test_lstm_begins_with_an_open_forget_gate() -> None:
    """A new LSTM has a forget bias of 1 and orthogonal recurrent weights, gate by gate."""
    network = LanguageModel(
        LanguageModelArchitecture(cell="lstm", vocabulary=5, embedding=6, hidden=8, layers=1)
    )
    weights = network.recurrent.state_dict()
    bias = weights["bias_ih_l0"] + weights["bias_hh_l0"]
    assert bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    gate_HH = weights["weight_hh_l0"][:8]
    torch.testing.assert_close(gate_HH @ gate_HH.T, torch.eye(8), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_classifier_encodes_as_torch_does(cell: str, bidirectional: bool) -> None:
    """The final hidden states are those of torch's module over packed sequences."""
    network = classifier(cell, bidirectional=bidirectional)
    reference = TORCH_MODULES[cell](10, 12, 2, bidirectional=bidirectional)
    reference.load_state_dict(network.recurrent.state_dict())
    tokens_TB, lengths_B = torch.randint(23, (9, 3)), torch.tensor([9, 4, 1])
    packed = pack_padded_sequence(network.embedding(tokens_TB), lengths_B)
    _, last = reference(packed, torch_state(network, 3))
    final = last[0] if cell == "lstm" else last
    pooled_BF = torch.cat([final[-2], final[-1]], dim=1) if bidirectional else final[-1]
    expected = network.output(torch.relu(network.mlp(pooled_BF)))
    torch.testing.assert_close(network(tokens_TB, lengths_B), expected)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("ngrams", [1, 4])
def test_padding_and_neighbors_have_no_influence(cell: str, pooling: str, ngrams: int) -> None:
    """A document's logits are the same alone as in a padded batch."""
    network = classifier(cell, bidirectional=True, pooling=pooling, ngrams=ngrams)
    tokens_TB, lengths_B = torch.randint(23, (9, 3)), torch.tensor([4, 9, 1])
    together = network(tokens_TB, lengths_B)
    for row, length in enumerate(lengths_B.tolist()):
        alone = network(tokens_TB[:length, row : row + 1], lengths_B[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone)


def test_classifier_learns_under_regularization() -> None:
    """With every kind of dropout each parameter of a classifier gets a gradient."""
    drop = Regularization(
        input=0.2, hidden=0.2, output=0.2, weight=0.2, word=0.2, ngram=0.2, mlp=0.2
    )
    plain = classifier("lstm", bidirectional=True, pooling="last_max_mean_words", ngrams=3)
    network = Classifier(plain.architecture, drop)
    logits_BC = network(torch.randint(23, (9, 3)), torch.tensor([9, 4, 1]))
    nn.functional.cross_entropy(logits_BC, torch.tensor([0, 1, 2])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_an_lstm_refuses_a_state_without_cell() -> None:
    """A state without cell states raises ValueError."""
    network = language_model("lstm", 1)
    with pytest.raises(ValueError, match="expected an LSTM state with cell states"):
        network(torch.zeros(1, 1, dtype=torch.long), State(torch.zeros(1, 1, 12)))
