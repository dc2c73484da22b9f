"""The two networks: the autoregressive language model and the document classifier.

Both follow the lecture: word vectors, recurrent layers with a learned first state, then either a
distribution over the next token at every step, or an MLP on the final hidden state. They know
neither text nor files; tokens are integers here. Shape suffixes: T time, B rows, E embedding,
F features, H hidden, L layers, V vocabulary, C labels.
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


class Encoded(NamedTuple):
    """Last-layer hidden states after and before output dropout, and the state that follows."""

    dropped_TBH: Tensor
    raw_TBH: Tensor
    state: State


def word_vectors(vocabulary: int, width: int, spread: float = 0.1) -> nn.Embedding:
    """Random vectors, uniform in (-spread, spread).

    nn.Embedding by itself would first draw normal numbers, for which torch loads its compiler where
    there are only shapes: a second at every start of the service.
    """
    vectors_VE = torch.empty(vocabulary, width).uniform_(-spread, spread)
    embedding: nn.Embedding = nn.Embedding.from_pretrained(vectors_VE, freeze=False)
    return embedding


class LanguageModel(nn.Module):
    """p(next token | everything read so far), for every step of a window.

    A document is read as ``[END] x1 .. xn`` and predicts ``x1 .. xn [END]``; every document begins
    from the learned first state.
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
        """The learned first state, once for each of ``batch`` rows."""
        cell_L1H = self.initial_cell_L1H if self.architecture.cell == "lstm" else None
        return State(self.initial_hidden_L1H, cell_L1H).expand(batch)

    def encode(self, tokens_TB: Tensor, state: State, starts_TB: Tensor | None = None) -> Encoded:
        """Hidden states of the last layer for a window that continues ``state``.

        Where ``starts_TB`` (bool) is true, that row's state is replaced by the learned first state
        before the token is read, so nothing is carried over a document's border.
        """
        drop, training = self.regularization, self.training
        values = embed(self.embedding, tokens_TB, drop.embedding, training)
        values = locked_dropout(values, drop.input, training)
        first = self.initial_state(tokens_TB.shape[1])
        segments = segments_between_starts(tokens_TB.shape[0], starts_TB)
        after: list[State] = []
        for layer in range(self.architecture.layers):
            if layer > 0:
                values = locked_dropout(values, drop.hidden, training)
            weights = layer_weights(
                self.recurrent,
                self.architecture.cell,
                layer,
                drop=drop.weight if training else 0.0,
            )
            values, last = run_segments(
                weights, values, state.layer(layer), first.layer(layer), segments
            )
            after.append(last)
        return Encoded(locked_dropout(values, drop.output, training), values, State.stack(after))

    def projected(self, hidden_TBH: Tensor) -> Tensor:
        """What the output layer reads (..., P) of hidden states (..., H)."""
        if self.projection is None:
            return hidden_TBH
        return self.projection(hidden_TBH)  # type: ignore[no-any-return]

    def logits(self, hidden_TBH: Tensor) -> Tensor:
        """Log-probabilities (..., V) of the next token from hidden states (..., H).

        Unnormalized ones of a full softmax; those of an adaptive softmax are normalized.
        """
        return self.output(self.projected(hidden_TBH))  # type: ignore[no-any-return]

    def forward(
        self, tokens_TB: Tensor, state: State, starts_TB: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Logits (T, B, V) after each token, and the state after the last one."""
        encoded = self.encode(tokens_TB, state, starts_TB)
        return self.logits(encoded.dropped_TBH), encoded.state


class Classifier(nn.Module):
    """Labels of whole documents from the encoder's hidden states.

    Reads ``x1 .. xn``; a text without tokens is read as ``[END]`` alone, since there must be one.
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
        """Logits (B, C). Steps at or beyond a row's length (each at least 1) have no influence."""
        return self.logits_of_vectors(
            self.token_vectors(tokens_TB, lengths_B), tokens_TB, lengths_B
        )

    def logits_of_vectors(self, words_TBE: Tensor, tokens_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """Logits (B, C) from what :meth:`token_vectors` gives; the linear part reads the tokens."""
        drop = self.regularization
        values = locked_dropout(words_TBE, drop.input, self.training)
        for layer in range(self.architecture.layers):
            if layer > 0:
                values = locked_dropout(values, drop.hidden, self.training)
            values = self._read(values, layer, lengths_B)
        values = locked_dropout(values, drop.output, self.training)
        return self.label_logits(values, words_TBE, tokens_TB, lengths_B)

    def token_vectors(self, tokens_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """What the first layer reads (T, B, E): vectors of the tokens, and of their n-grams."""
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
        """Logits (B, C) from what the last layer gave at every step, and from the word vectors;
        those of the linear classifier over the tokens are added where there is one.
        """
        pooled_BF = self._pool(values_TBF, lengths_B)
        if self.architecture.pools_words:
            pooled_BF = torch.cat([pooled_BF, *max_and_mean(words_TBE, lengths_B)], dim=1)
        hidden_BM = functional.relu(self.mlp(pooled_BF))
        hidden_BM = functional.dropout(hidden_BM, self.regularization.mlp, self.training)
        logits_BC: Tensor = self.output(hidden_BM)
        return logits_BC if self.linear is None else logits_BC + self.linear(tokens_TB, lengths_B)

    def _read(self, values_TBF: Tensor, layer: int, lengths_B: Tensor) -> Tensor:
        """One layer; the second direction reads each document from its own last token."""
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
        first = State(self.initial_hidden_L1H, cell_L1H).layer(layer * a.directions + reverse)
        return weights.run(values_TBF, first.expand(values_TBF.shape[1]))[0]

    def _pool(self, values_TBF: Tensor, lengths_B: Tensor) -> Tensor:
        """The final state of each direction, by option joined with max and mean over time."""
        rows_B = torch.arange(values_TBF.shape[1])
        hidden = self.architecture.hidden
        final_BF = values_TBF[lengths_B - 1, rows_B]
        if self.architecture.bidirectional:  # the backward direction ends at the first token
            final_BF = torch.cat([final_BF[:, :hidden], values_TBF[0, :, hidden:]], dim=1)
        if self.architecture.pooling == "last":
            return final_BF
        return torch.cat([final_BF, *max_and_mean(values_TBF, lengths_B)], dim=1)


def max_and_mean(values_TBF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
    """Each (B, F): the largest value and the mean over each row's own steps."""
    steps_T1 = torch.arange(values_TBF.shape[0]).unsqueeze(1)
    outside_TB1 = (steps_T1 >= lengths_B).unsqueeze(2)
    largest_BF = values_TBF.masked_fill(outside_TB1, -torch.inf).amax(dim=0)
    mean_BF = values_TBF.masked_fill(outside_TB1, 0.0).sum(dim=0) / lengths_B.unsqueeze(1)
    return largest_BF, mean_BF


def mirrored(values_TBF: Tensor, lengths_B: Tensor) -> Tensor:
    """Each row's own steps in reverse; what lies beyond its length stays where it is."""
    steps_T1 = torch.arange(values_TBF.shape[0]).unsqueeze(1)
    order_TB = torch.where(steps_T1 < lengths_B, lengths_B - 1 - steps_T1, steps_T1)
    return values_TBF.gather(0, order_TB.unsqueeze(2).expand_as(values_TBF))
