// The cells, for sixteen units of one row at a time. To add one, write a struct like these and
// enter it in steps.cpp (`advance_cell`) and in `GATE_BLOCKS` of model/architecture.py.
//
// `input` holds W x + b and `hidden_part` U h + c for each gate, in torch's order of gates.
// `hidden` and `cell` are the units' state before the step. `step` returns the new hidden state; an
// LSTM changes `cell` in place. The equations are those of torch's nn.RNN (tanh), nn.GRU and
// nn.LSTM.
#pragma once

#include "vectors.h"

namespace {

struct Elman {
  static constexpr int GATES = 1;
  static constexpr bool HAS_CELL = false;

  static UNROLL_INLINE f32x16 step(
      const f32x16* input, const f32x16* hidden_part, f32x16, f32x16&) {
    return hyperbolic_tangent(input[0] + hidden_part[0]);
  }
};

struct Gru {
  static constexpr int GATES = 3;  // reset, update, candidate
  static constexpr bool HAS_CELL = false;

  static UNROLL_INLINE f32x16 step(
      const f32x16* input, const f32x16* hidden_part, f32x16 hidden, f32x16&) {
    const f32x16 reset = sigmoid(input[0] + hidden_part[0]);
    const f32x16 update = sigmoid(input[1] + hidden_part[1]);
    const f32x16 candidate = hyperbolic_tangent(fused(reset, hidden_part[2], input[2]));
    return fused(update, hidden - candidate, candidate);
  }
};

struct Lstm {
  static constexpr int GATES = 4;  // input, forget, candidate, output
  static constexpr bool HAS_CELL = true;

  static UNROLL_INLINE f32x16 step(
      const f32x16* input, const f32x16* hidden_part, f32x16, f32x16& cell) {
    const f32x16 entry = sigmoid(input[0] + hidden_part[0]);
    const f32x16 forget = sigmoid(input[1] + hidden_part[1]);
    const f32x16 candidate = hyperbolic_tangent(input[2] + hidden_part[2]);
    const f32x16 output = sigmoid(input[3] + hidden_part[3]);
    cell = fused(forget, cell, entry * candidate);
    return output * hyperbolic_tangent(cell);
  }
};

}  // namespace
