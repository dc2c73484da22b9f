// The arithmetic of a step, for the instruction set that the build names in UNROLL_STEPS.
//
// The file is compiled once per instruction set, with its flags, and the set is selected at run
// time. It must not instantiate templates of the standard library: the linker would keep one copy
// for all sets, and an old processor could run instructions that it lacks.
#include "steps.h"

#include "adaptive_sampling.h"
#include "cells.h"
#include "products.h"
#include "tiles.h"

namespace {

// W x + b of one row and a group of units, from the table.
template <int G>
UNROLL_INLINE void look_up(const LayerStep& step, int group, int row, f32x16 (&input)[G]) {
  for (int g = 0; g < G; ++g)
    input[g] = load<f32x16>(step.table[row] + (group * G + g) * LANES);
}

// The new state of one row and a group of units.
template <class Numbers, class CellKind>
UNROLL_INLINE void update(
    const LayerStep& step, int group, int row, const f32x16* input, const f32x16* hidden_part) {
  typedef typename Numbers::Activation Activation;
  const int unit = group * LANES;
  float* hidden = step.hiddens[row] + unit;
  f32x16 cell{};
  if (CellKind::HAS_CELL) cell = load<f32x16>(step.cells[row] + unit);
  const f32x16 after = CellKind::step(input, hidden_part, load<f32x16>(hidden), cell);
  store(hidden, after);
  if (CellKind::HAS_CELL) store(step.cells[row] + unit, cell);
  Numbers::put(static_cast<Activation*>(step.next_rows[row]) + unit, after, step.inverse_scale);
}

template <class Numbers, class CellKind, int M>
UNROLL_INLINE void advance_tile(const LayerStep& step, int group, int first) {
  typedef typename Numbers::Activation Activation;
  constexpr int G = CellKind::GATES;
  f32x16 input[M][G], hidden_part[M][G];
  if (step.table != nullptr) {
    for (int m = 0; m < M; ++m) look_up<G>(step, group, first + m, input[m]);
  } else {
    product<Numbers, G, M>(
        step.input, group, reinterpret_cast<const Activation* const*>(step.input_rows + first),
        step.input_scales + first, input);
  }
  product<Numbers, G, M>(
      step.hidden, group, reinterpret_cast<const Activation* const*>(step.hidden_rows + first),
      step.hidden_scales + first, hidden_part);
  for (int m = 0; m < M; ++m)
    update<Numbers, CellKind>(step, group, first + m, input[m], hidden_part[m]);
}

#if defined(__AMX_INT8__)
// Both return how many rows they have computed; the others are left to vectors.
template <class CellKind>
int advance_blocks(const LayerStep& step, int begin, int end) {
  constexpr int G = CellKind::GATES;
  const bool looks_up = step.table != nullptr;
  const int inputs = looks_up ? 0 : step.input.inputs;
  const int widest = inputs < step.hidden.inputs ? step.hidden.inputs : inputs;
  return for_row_blocks(step.rows, RowBlock::room(widest), [&](int begin_row, int rows) {
    RowBlock input_block, hidden_block;
    if (!looks_up) input_block.copy(step.input_rows + begin_row, rows, inputs);
    hidden_block.copy(step.hidden_rows + begin_row, rows, step.hidden.inputs);
    const float* input_scales = step.input_scales + begin_row;
    const float* hidden_scales = step.hidden_scales + begin_row;
    Tiles tiles;
    for (int group = begin; group < end; ++group)
      for_row_tiles(rows, [&](int first, int count) {
        f32x16 input[TILE_ROWS][G], hidden_part[TILE_ROWS][G];
        if (looks_up) {
          for (int m = 0; m < count; ++m)
            look_up<G>(step, group, begin_row + first + m, input[m]);
        } else {
          tiles.product<G>(step.input, group, input_block, first, count, input_scales, input);
        }
        tiles.product<G>(
            step.hidden, group, hidden_block, first, count, hidden_scales, hidden_part);
        for (int m = 0; m < count; ++m)
          update<Bytes, CellKind>(step, group, begin_row + first + m, input[m], hidden_part[m]);
      });
  });
}

template <int G>
int multiply_blocks(const LinearStep& step, int begin, int end) {
  const int room = RowBlock::room(step.matrix.inputs);
  return for_row_blocks(step.rows, room, [&](int begin_row, int rows) {
    RowBlock block;
    block.copy(step.input_rows + begin_row, rows, step.matrix.inputs);
    Tiles tiles;
    for (int group = begin; group < end; ++group)
      for_row_tiles(rows, [&](int first, int count) {
        f32x16 out[TILE_ROWS][G];
        tiles.product<G>(
            step.matrix, group, block, first, count, step.input_scales + begin_row, out);
        for (int m = 0; m < count; ++m)
          for (int g = 0; g < G; ++g)
            store(step.outputs[begin_row + first + m] + (group * G + g) * LANES, out[m][g]);
      });
  });
}
#endif

template <class Numbers, class CellKind>
void advance_groups(const LayerStep& step, int begin, int end) {
  int done = 0;
#if defined(__AMX_INT8__)
  if constexpr (Numbers::IN_BYTES) done = advance_blocks<CellKind>(step, begin, end);
#endif
  for (int group = begin; group < end; ++group)
    for_tiles<Numbers>(done, step.rows, [&](int first, auto count) {
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
  int done = 0;
#if defined(__AMX_INT8__)
  if constexpr (Numbers::IN_BYTES) done = multiply_blocks<G>(step, begin, end);
#endif
  for (int group = begin; group < end; ++group)
    for_tiles<Numbers>(done, step.rows, [&](int first, auto count) {
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
