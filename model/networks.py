"""The networks: an autoregressive language model and a document classifier.

Both read tokens through word vectors and recurrent layers with a learned initial state. The
language model predicts the next token at every time step (Mikolov et al., 2010); the classifier
predicts labels by an MLP on the final hidden state (Goodfellow et al., "Deep Learning", 2016,
section 10.5).

Shape suffixes: T time, B rows, E embedding, F features, H hidden, L layers, V vocabulary, C labels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.architecture import ClassifierArchitecture, LanguageModelArchitecture
from model.linear_ngrams import LinearNgrams
from model.ngrams import ngram_buckets
from model.output_layer import build_output
from model.recurrent import build_recurrent, layer_weights, run_segments, segments_between_starts
from model.regularization import NO_REGULARIZATION, Regularization, embed, locked_dropout
from model.state import State


class EncoderOutput(NamedTuple):
    """Hidden states of the last layer after and before output dropout, and the final state."""

    dropped_TBH: Tensor
    raw_TBH: Tensor
    state: State


def word_vectors(vocabulary: int, width: int, spread: float = 0.1) -> nn.Embedding:
    """An embedding with random vectors, uniform in (-spread, spread).

    nn.Embedding would first draw normal numbers. On the meta device torch imports its compiler for
    that, which takes a second at every start of the service.
    """
    vectors_VE = torch.empty(vocabulary, width).uniform_(-spread, spread)
    embedding: nn.Embedding = nn.Embedding.from_pretrained(vectors_VE, freeze=False)
    return embedding


class LanguageModel(nn.Module):
    """A recurrent language model: p(next token | tokens read so far) at every time step.

    It reads a document as ``[END] x1 .. xn`` and predicts ``x1 .. xn [END]``. Every document begins
    from the learned initial state.
    """

    def __init__(
        self,
        architecture: LanguageModelArchitecture,
        regularization: Regularization = NO_REGULARIZATION,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.regularization = regularization
        a = architecture
        self.embedding = word_vectors(a.vocabulary, a.embedding)
        self.recurrent = build_recurrent(a.cell, a.embedding, a.hidden, a.layers)
        self.initial_hidden_L1H = nn.Parameter(torch.zeros(a.layers, 1, a.hidden))
        if a.cell == "lstm":
            self.initial_cell_L1H = nn.Parameter(torch.zeros(a.layers, 1, a.hidden))
        self.projection = None if a.projection is None else nn.Linear(a.hidden, a.projection)
        self.output = build_output(a)
        if a.tied:
            self.output.weight = self.embedding.weight

    def initial_state(self, batch: int) -> State:
        """The learned initial state of ``batch`` rows."""
        cell_L1H = self.initial_cell_L1H if self.architecture.cell == "lstm" else None
        return State(self.initial_hidden_L1H, cell_L1H).expand(batch)

    def encode(
        self, tokens_TB: Tensor, state: State, starts_TB: Tensor | None = None
    ) -> EncoderOutput:
        """Hidden states of the last layer.

        Args:
            tokens_TB: token ids (T, B).
            state: before the first token.
            starts_TB: bool (T, B), true where a document begins: the state of that row is replaced
                by the learned initial state before the token is read.
        """
        drop, training = self.regularization, self.training
        values = embed(self.embedding, tokens_TB, drop.embedding, training)
        values = locked_dropout(values, drop.input, training)
        initial = self.initial_state(tokens_TB.shape[1])
        segments = segments_between_starts(tokens_TB.shape[0], starts_TB)
        final_states: list[State] = []
        for layer in range(self.architecture.layers):
            if layer > 0:
                values = locked_dropout(values, drop.hidden, training)
            weights = layer_weights(
                self.recurrent,
                self.architecture.cell,
                layer,
                drop=drop.weight if training else 0.0,
            )
            values, final_state = run_segments(
                weights, values, state.layer(layer), initial.layer(layer), segments
            )
            final_states.append(final_state)
        dropped = locked_dropout(values, drop.output, training)
        return EncoderOutput(dropped, values, State.stack(final_states))

    def projected(self, hidden_TBH: Tensor) -> Tensor:
        """Input (..., P) of the output layer from hidden states (..., H)."""
        if self.projection is None:
            return hidden_TBH
        return self.projection(hidden_TBH)  # type: ignore[no-any-return]

    def logits(self, hidden_TBH: Tensor) -> Tensor:
        """Logits (..., V) of the next token from hidden states (..., H).

        The logits of an adaptive softmax are log-probabilities.
        """
        return self.output(self.projected(hidden_TBH))  # type: ignore[no-any-return]

    def forward(
        self, tokens_TB: Tensor, state: State, starts_TB: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Logits (T, B, V) after each token, and the final state; see :meth:`encode`."""
        encoded = self.encode(tokens_TB, state, starts_TB)
        return self.logits(encoded.dropped_TBH), encoded.state


class Classifier(nn.Module):
    """A recurrent document classifier.

    It reads ``x1 .. xn``. Callers pass ``[END]`` for an empty document: at least one token is
    required.
    """

    def __init__(
        self,
        architecture: ClassifierArchitecture,
        regularization: Regularization = NO_REGULARIZATION,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.regularization = regularization
        a = architecture
        self.embedding = word_vectors(a.vocabulary, a.embedding)
        self.recurrent = build_recurrent(
            a.cell, a.embedding, a.hidden, a.layers, bidirectional=a.bidirectional
        )
        self.ngram_embedding: nn.Embedding | None = None
        if a.ngrams > 1:
            count = (a.ngrams - 1) * a.ngram_buckets
            self.ngram_embedding = word_vectors(count, a.embedding, spread=0.01)
        states = a.layers * a.directions
        self.initial_hidden_L1H = nn.Parameter(torch.zeros(states, 1, a.hidden))
        if a.cell == "lstm":
            self.initial_cell_L1H = nn.Parameter(torch.zeros(states, 1, a.hidden))
        self.mlp = nn.Linear(a.pooled, a.mlp)
        self.output = nn.Linear(a.mlp, a.labels)
        self.linear: LinearNgrams | None = None
        if a.linear_ngrams > 0:
            self.linear = LinearNgrams(a.vocabulary, a.linear_ngrams, a.linear_buckets, a.labels)

    def forward(self, tokens_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """Logits (B, C) of documents (T, B). Tokens from a row's length (>= 1) on are ignored."""
        vectors_TBE = self.token_vectors(tokens_TB, lengths_B)
        return self.logits_of_vectors(vectors_TBE, tokens_TB, lengths_B)

    def logits_of_vectors(self, words_TBE: Tensor, tokens_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """Logits (B, C) from token vectors (T, B, E); the linear part reads the tokens."""
        drop = self.regularization
        values = locked_dropout(words_TBE, drop.input, self.training)
        for layer in range(self.architecture.layers):
            if layer > 0:
                values = locked_dropout(values, drop.hidden, self.training)
            values = self._read(values, layer, lengths_B)
        values = locked_dropout(values, drop.output, self.training)
        return self.label_logits(values, words_TBE, tokens_TB, lengths_B)

    def token_vectors(self, tokens_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """Input of the first layer (T, B, E): word vectors plus those of the tokens' n-grams."""
        a, drop = self.architecture, self.regularization
        values_TBE = embed(self.embedding, tokens_TB, drop.embedding, self.training)
        if self.ngram_embedding is not None:
            for buckets_TB in ngram_buckets(tokens_TB, lengths_B, a.ngrams, a.ngram_buckets):
                vectors_TBE = self.ngram_embedding(buckets_TB)
                values_TBE = values_TBE + functional.dropout1d(
                    vectors_TBE, drop.ngram, self.training
                )
        return functional.dropout1d(values_TBE, drop.word, self.training)

    def label_logits(
        self, values_TBF: Tensor, words_TBE: Tensor, tokens_TB: Tensor, lengths_B: Tensor
    ) -> Tensor:
        """Logits (B, C) from the last layer's outputs and the word vectors, plus the logits of the
        linear classifier if the architecture has one.
        """
        logits_BC = self.logits_of_pooled(self.pooled_features(values_TBF, words_TBE, lengths_B))
        return logits_BC if self.linear is None else logits_BC + self.linear(tokens_TB, lengths_B)

    def pooled_features(self, values_TBF: Tensor, words_TBE: Tensor, lengths_B: Tensor) -> Tensor:
        """The inputs (B, pooled) of the MLP."""
        pooled_BF = self._pool(values_TBF, lengths_B)
        if not self.architecture.pools_words:
            return pooled_BF
        return torch.cat([pooled_BF, *max_and_mean(words_TBE, lengths_B)], dim=1)

    def logits_of_pooled(self, pooled_BF: Tensor) -> Tensor:
        """Logits (B, C) of the MLP, without those of the linear classifier."""
        hidden_BM = functional.relu(self.mlp(pooled_BF))
        hidden_BM = functional.dropout(hidden_BM, self.regularization.mlp, self.training)
        logits_BC: Tensor = self.output(hidden_BM)
        return logits_BC

    def _read(self, values_TBF: Tensor, layer: int, lengths_B: Tensor) -> Tensor:
        """Outputs of one layer. The backward direction begins at each document's last token."""
        forward_TBH = self._run(values_TBF, layer, reverse=False)
        if not self.architecture.bidirectional:
            return forward_TBH
        backward_TBH = self._run(mirrored(values_TBF, lengths_B), layer, reverse=True)
        return torch.cat([forward_TBH, mirrored(backward_TBH, lengths_B)], dim=2)

    def _run(self, values_TBF: Tensor, layer: int, *, reverse: bool) -> Tensor:
        a = self.architecture
        drop = self.regularization.weight if self.training else 0.0
        weights = layer_weights(self.recurrent, a.cell, layer, reverse=reverse, drop=drop)
        cell_L1H = self.initial_cell_L1H if a.cell == "lstm" else None
        initial = State(self.initial_hidden_L1H, cell_L1H).layer(layer * a.directions + reverse)
        return weights.run(values_TBF, initial.expand(values_TBF.shape[1]))[0]

    def _pool(self, values_TBF: Tensor, lengths_B: Tensor) -> Tensor:
        """The final hidden state of each direction, by option with maximum and mean over time."""
        rows_B = torch.arange(values_TBF.shape[1])
        hidden = self.architecture.hidden
        final_BF = values_TBF[lengths_B - 1, rows_B]
        if self.architecture.bidirectional:  # the backward direction ends at the first token
            final_BF = torch.cat([final_BF[:, :hidden], values_TBF[0, :, hidden:]], dim=1)
        if self.architecture.pooling == "last":
            return final_BF
        return torch.cat([final_BF, *max_and_mean(values_TBF, lengths_B)], dim=1)


def max_and_mean(values_TBF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum and mean (B, F) over the time steps before each row's length."""
    steps_T1 = torch.arange(values_TBF.shape[0]).unsqueeze(1)
    outside_TB1 = (steps_T1 >= lengths_B).unsqueeze(2)
    largest_BF = values_TBF.masked_fill(outside_TB1, -torch.inf).amax(dim=0)
    mean_BF = values_TBF.masked_fill(outside_TB1, 0.0).sum(dim=0) / lengths_B.unsqueeze(1)
    return largest_BF, mean_BF


def mirrored(values_TBF: Tensor, lengths_B: Tensor) -> Tensor:
    """The time steps before each row's length in reverse order; later ones stay in place."""
    steps_T1 = torch.arange(values_TBF.shape[0]).unsqueeze(1)
    order_TB = torch.where(steps_T1 < lengths_B, lengths_B - 1 - steps_T1, steps_T1)
    return values_TBF.gather(0, order_TB.unsqueeze(2).expand_as(values_TBF))
