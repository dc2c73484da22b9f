// Products of one group of outputs with a few rows: the innermost loops.
//
// M rows share every loaded weight, and their sums stay in registers: for all G gates at once, or
// for S gates at a time where there are fewer registers. A row's sums are computed in the same order
// for any M and S, so its result does not depend on the grouping of rows. There are two number
// types: `Bytes` (int8 weights, activations offset by 128) and `Floats`.
#pragma once

#include "matrix.h"
#include "vectors.h"

namespace {

// A tile has ROWS rows at most, and as many gates at a time as SUMS registers have sums for. The
// other registers hold weights and activations.
#if defined(__AVX512VNNI__) || !defined(__x86_64__)
constexpr int BYTE_ROWS = 6, BYTE_SUMS = 24;  // of 32
#elif defined(__AVXVNNI__)
constexpr int BYTE_ROWS = 3, BYTE_SUMS = 12;  // of 16
#elif defined(__AVX2__)
constexpr int BYTE_ROWS = 1, BYTE_SUMS = 8;  // of 16, for a dot product of several instructions
#else
constexpr int BYTE_ROWS = 2, BYTE_SUMS = 8;
#endif
constexpr int FLOAT_SUMS = REGISTERS * 3 / 4;
constexpr int FLOAT_ROWS = FLOAT_SUMS / PARTS < 6 ? FLOAT_SUMS / PARTS : 6;

struct Bytes {
  typedef uint8_t Activation;
  static constexpr bool IN_BYTES = true;
  static constexpr int ROWS = BYTE_ROWS, SUMS = BYTE_SUMS;

  // What makes numbers of the sums of sixteen outputs.
  struct Outputs {
    f32x16 scale, bias;
    i32x16 offset;

    UNROLL_INLINE Outputs(const Matrix& matrix, int index)
        : scale(load<f32x16>(matrix.scales + index)),
          bias(load<f32x16>(matrix.biases + index)),
          offset(DOTS_ARE_OFFSET ? load<i32x16>(matrix.offsets + index) : i32x16{}) {}

    UNROLL_INLINE f32x16 scaled(i32x16 sums, float row_scale) const {
      return fused(to_float(sums - offset), scale * splat(row_scale), bias);
    }
  };

  // out[m][g] = bias + scale * row_scales[m] * dot, for S gates from `FIRST`
  template <int G, int M, int FIRST, int S>
  static UNROLL_INLINE void product_of_gates(
      const Matrix& matrix, int group, const uint8_t* const* rows, const float* row_scales,
      f32x16 (&out)[M][G]) {
    i32x16 sums[M][S] = {};
    const int quads = matrix.inputs / 4;
    const int8_t* weights = static_cast<const int8_t*>(matrix.weights) +
                            (int64_t(group) * quads * G + FIRST) * 64;
    for (int quad = 0; quad < quads; ++quad, weights += G * 64) {
      i8x64 weight[S];
      for (int s = 0; s < S; ++s) weight[s] = load<i8x64>(weights + s * 64);
      for (int m = 0; m < M; ++m) {
        const i32x16 activation = splat(load<int32_t>(rows[m] + 4 * quad));
        for (int s = 0; s < S; ++s) sums[m][s] = dot4(sums[m][s], activation, weight[s]);
      }
    }
    for (int s = 0; s < S; ++s) {
      const Outputs outputs(matrix, (group * G + FIRST + s) * LANES);
      for (int m = 0; m < M; ++m) out[m][FIRST + s] = outputs.scaled(sums[m][s], row_scales[m]);
    }
  }

  // Quantizes sixteen numbers between -127 / inverse_scale and 127 / inverse_scale.
  static UNROLL_INLINE void put(uint8_t* to, f32x16 value, float inverse_scale) {
    const f32x16 shifted = value * splat(inverse_scale) + splat(128.5f);
    const f32x16 bounded = smaller(larger(shifted, splat(1.0f)), splat(255.0f));
    store(to, to_bytes(to_int(bounded)));
  }
};

struct Floats {
  typedef float Activation;
  static constexpr bool IN_BYTES = false;
  static constexpr int ROWS = FLOAT_ROWS, SUMS = FLOAT_SUMS;

  template <int G, int M, int FIRST, int S>
  static UNROLL_INLINE void product_of_gates(
      const Matrix& matrix, int group, const float* const* rows, const float*,
      f32x16 (&out)[M][G]) {
    f32x16 sums[M][S];
    for (int s = 0; s < S; ++s) {
      const f32x16 bias = load<f32x16>(matrix.biases + (group * G + FIRST + s) * LANES);
      for (int m = 0; m < M; ++m) sums[m][s] = bias;
    }
    const float* weights = static_cast<const float*>(matrix.weights) +
                           (int64_t(group) * matrix.inputs * G + FIRST) * LANES;
    for (int input = 0; input < matrix.inputs; ++input, weights += G * LANES) {
      f32x16 weight[S];
      for (int s = 0; s < S; ++s) weight[s] = load<f32x16>(weights + s * LANES);
      for (int m = 0; m < M; ++m) {
        const f32x16 activation = splat(rows[m][input]);
        for (int s = 0; s < S; ++s) sums[m][s] = fused(activation, weight[s], sums[m][s]);
      }
    }
    for (int m = 0; m < M; ++m)
      for (int s = 0; s < S; ++s) out[m][FIRST + s] = sums[m][s];
  }

  static UNROLL_INLINE void put(float* to, f32x16 value, float) { store(to, value); }
};

constexpr int quotient_up(int number, int by) { return (number + by - 1) / by; }

// The product of one group of outputs, G gates each, with M rows.
template <class Numbers, int G, int M, int FIRST = 0>
UNROLL_INLINE void product(
    const Matrix& matrix, int group, const typename Numbers::Activation* const* rows,
    const float* row_scales, f32x16 (&out)[M][G]) {
  constexpr int passes = quotient_up(G * M * PARTS, Numbers::SUMS);
  constexpr int even = passes < G ? quotient_up(G, passes) : 1;
  constexpr int S = even < G - FIRST ? even : G - FIRST;
  Numbers::template product_of_gates<G, M, FIRST, S>(matrix, group, rows, row_scales, out);
  if constexpr (FIRST + S < G)
    product<Numbers, G, M, FIRST + S>(matrix, group, rows, row_scales, out);
}

template <int M>
struct Count {
  static constexpr int value = M;
};

// Calls `tile(first, Count<rows>{})` for M rows or fewer.
template <int M, class Tile>
UNROLL_INLINE void last_tile(int rows, int first, Tile tile) {
  if constexpr (M > 0) {
    if (rows == M) return tile(first, Count<M>{});
    last_tile<M - 1>(rows, first, tile);
  }
}

// Calls `tile(first_row, Count<M>)` for all rows from `first`, as few times as possible.
template <class Numbers, class Tile>
UNROLL_INLINE void for_tiles(int first, int rows, Tile tile) {
  constexpr int most = Numbers::ROWS;
  for (; rows - first >= most; first += most) tile(first, Count<most>{});
  last_tile<most - 1>(rows - first, first, tile);
}

}  // namespace
