// The arithmetic of a step, for the instruction set that the build names in UNROLL_STEPS.
//
// The file is compiled once per instruction set, with its flags, and the set is selected at run
// time. It must not instantiate templates of the standard library: the linker would keep one copy
// for all sets, and an old processor could run instructions that it lacks.
#include "steps.h"

#include "adaptive_sampling.h"
#include "cells.h"
#include "products.h"

namespace {

template <class Numbers, class CellKind, int M>
UNROLL_INLINE void advance_tile(const LayerStep& step, int group, int first) {
  typedef typename Numbers::Activation Activation;
  constexpr int G = CellKind::GATES;
  f32x16 input[M][G], hidden_part[M][G];
  if (step.table != nullptr) {
    for (int m = 0; m < M; ++m)
      for (int g = 0; g < G; ++g)
        input[m][g] = load<f32x16>(step.table[first + m] + (group * G + g) * LANES);
  } else {
    product<Numbers, G, M>(
        step.input, group, reinterpret_cast<const Activation* const*>(step.input_rows + first),
        step.input_scales + first, input);
  }
  product<Numbers, G, M>(
      step.hidden, group, reinterpret_cast<const Activation* const*>(step.hidden_rows + first),
      step.hidden_scales + first, hidden_part);
  const int unit = group * LANES;
  for (int m = 0; m < M; ++m) {
    float* hidden = step.hiddens[first + m] + unit;
    f32x16 cell{};
    if (CellKind::HAS_CELL) cell = load<f32x16>(step.cells[first + m] + unit);
    const f32x16 after =
        CellKind::step(input[m], hidden_part[m], load<f32x16>(hidden), cell);
    store(hidden, after);
    if (CellKind::HAS_CELL) store(step.cells[first + m] + unit, cell);
    Numbers::put(
        static_cast<Activation*>(step.next_rows[first + m]) + unit, after, step.inverse_scale);
  }
}

template <class Numbers, class CellKind>
void advance_groups(const LayerStep& step, int begin, int end) {
  for (int group = begin; group < end; ++group)
    for_tiles<Numbers>(step.rows, [&](int first, auto count) {
      advance_tile<Numbers, CellKind, decltype(count)::value>(step, group, first);
    });
}

template <class Numbers>
void advance_cell(const LayerStep& step, int begin, int end) {
  switch (step.cell) {
    case Cell::elman: return advance_groups<Numbers, Elman>(step, begin, end);
    case Cell::gru: return advance_groups<Numbers, Gru>(step, begin, end);
    case Cell::lstm: return advance_groups<Numbers, Lstm>(step, begin, end);
  }
}

void advance(const LayerStep& step, Precision precision, int begin, int end) {
  return precision == Precision::int8 ? advance_cell<Bytes>(step, begin, end)
                                      : advance_cell<Floats>(step, begin, end);
}

template <class Numbers, int G>
void multiply_groups(const LinearStep& step, int begin, int end) {
  typedef typename Numbers::Activation Activation;
  for (int group = begin; group < end; ++group)
    for_tiles<Numbers>(step.rows, [&](int first, auto count) {
      constexpr int M = decltype(count)::value;
      f32x16 out[M][G];
      product<Numbers, G, M>(
          step.matrix, group, reinterpret_cast<const Activation* const*>(step.input_rows + first),
          step.input_scales + first, out);
      for (int m = 0; m < M; ++m)
        for (int g = 0; g < G; ++g)
          store(step.outputs[first + m] + (group * G + g) * LANES, out[m][g]);
    });
}

// The gates of an output layer (4) or of the input of a cell.
template <class Numbers>
void multiply_gates(const LinearStep& step, int begin, int end) {
  switch (step.matrix.gates) {
    case Elman::GATES: return multiply_groups<Numbers, Elman::GATES>(step, begin, end);
    case Gru::GATES: return multiply_groups<Numbers, Gru::GATES>(step, begin, end);
    case Lstm::GATES: return multiply_groups<Numbers, Lstm::GATES>(step, begin, end);
  }
}

void multiply(const LinearStep& step, Precision precision, int begin, int end) {
  return precision == Precision::int8 ? multiply_gates<Bytes>(step, begin, end)
                                      : multiply_gates<Floats>(step, begin, end);
}

void activate(const float* from, void* to, int count, float inverse_scale, Precision precision) {
  if (precision == Precision::float32) {
    std::memcpy(to, from, sizeof(float) * count);
    return;
  }
  for (int index = 0; index < count; index += LANES)
    Bytes::put(static_cast<uint8_t*>(to) + index, load<f32x16>(from + index), inverse_scale);
}

float quantize(const float* from, void* to, int count, Precision precision) {
  if (precision == Precision::float32) {
    activate(from, to, count, 1.0f, precision);
    return 1.0f;
  }
  f32x16 bound{};
  for (int index = 0; index < count; index += LANES) {
    const f32x16 value = load<f32x16>(from + index);
    bound = larger(bound, larger(value, -value));
  }
  const float scale = largest(bound) > 0 ? largest(bound) / 127.0f : 1.0f;
  activate(from, to, count, 1.0f / scale, precision);
  return scale;
}

}  // namespace

extern const Steps UNROLL_STEPS;
const Steps UNROLL_STEPS = {
    UNROLL_STEPS_NAME, advance, multiply, activate, quantize, choose, sample};
