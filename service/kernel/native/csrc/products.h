// Products of one group of outputs with a few rows: the innermost loops.
//
// M rows share every loaded weight, and M * G sums stay in registers. A row's sums are computed in
// the same order for any M, so its result does not depend on the grouping of rows. There are two
// number types: `Bytes` (int8 weights, activations offset by 128) and `Floats`.
#pragma once

#include "matrix.h"
#include "vectors.h"

namespace {

constexpr int MAX_ROWS = 6;  // 6 rows x 4 gates = 24 of 32 registers

struct Bytes {
  typedef uint8_t Activation;

  // out = bias + scale * row_scales[m] * dot
  template <int G, int M>
  static UNROLL_INLINE void product(
      const Matrix& matrix, int group, const uint8_t* const* rows, const float* row_scales,
      f32x16 (&out)[M][G]) {
    i32x16 sums[M][G] = {};
    const int quads = matrix.inputs / 4;
    const int8_t* weights =
        static_cast<const int8_t*>(matrix.weights) + int64_t(group) * quads * G * 64;
    for (int quad = 0; quad < quads; ++quad, weights += G * 64) {
      i8x64 weight[G];
      for (int g = 0; g < G; ++g) weight[g] = load<i8x64>(weights + g * 64);
      for (int m = 0; m < M; ++m) {
        const i32x16 activation = splat(load<int32_t>(rows[m] + 4 * quad));
        for (int g = 0; g < G; ++g) sums[m][g] = dot4(sums[m][g], activation, weight[g]);
      }
    }
    for (int g = 0; g < G; ++g) {
      const int index = (group * G + g) * LANES;
      const f32x16 scale = load<f32x16>(matrix.scales + index);
      const f32x16 bias = load<f32x16>(matrix.biases + index);
      const i32x16 offset =
          DOTS_ARE_OFFSET ? load<i32x16>(matrix.offsets + index) : i32x16{};
      for (int m = 0; m < M; ++m) {
        out[m][g] = fused(to_float(sums[m][g] - offset), scale * splat(row_scales[m]), bias);
      }
    }
  }

  // Quantizes sixteen numbers between -127 / inverse_scale and 127 / inverse_scale.
  static UNROLL_INLINE void put(uint8_t* to, f32x16 value, float inverse_scale) {
    const f32x16 shifted = value * splat(inverse_scale) + splat(128.5f);
    const f32x16 bounded = smaller(larger(shifted, splat(1.0f)), splat(255.0f));
    store(to, __builtin_convertvector(to_int(bounded), u8x16));
  }
};

struct Floats {
  typedef float Activation;

  template <int G, int M>
  static UNROLL_INLINE void product(
      const Matrix& matrix, int group, const float* const* rows, const float*,
      f32x16 (&out)[M][G]) {
    f32x16 sums[M][G];
    for (int g = 0; g < G; ++g) {
      const f32x16 bias = load<f32x16>(matrix.biases + (group * G + g) * LANES);
      for (int m = 0; m < M; ++m) sums[m][g] = bias;
    }
    const float* weights =
        static_cast<const float*>(matrix.weights) + int64_t(group) * matrix.inputs * G * LANES;
    for (int input = 0; input < matrix.inputs; ++input, weights += G * LANES) {
      f32x16 weight[G];
      for (int g = 0; g < G; ++g) weight[g] = load<f32x16>(weights + g * LANES);
      for (int m = 0; m < M; ++m) {
        const f32x16 activation = splat(rows[m][input]);
        for (int g = 0; g < G; ++g) sums[m][g] = fused(activation, weight[g], sums[m][g]);
      }
    }
    for (int m = 0; m < M; ++m)
      for (int g = 0; g < G; ++g) out[m][g] = sums[m][g];
  }

  static UNROLL_INLINE void put(float* to, f32x16 value, float) { store(to, value); }
};

// Calls `tile(first_row, Count<M>)` for all rows, as few times as possible.
template <int M>
struct Count {
  static constexpr int value = M;
};

template <class Tile>
UNROLL_INLINE void for_tiles(int rows, Tile tile) {
  int first = 0;
  for (; rows - first >= MAX_ROWS; first += MAX_ROWS) tile(first, Count<MAX_ROWS>{});
  switch (rows - first) {
    case 5: return tile(first, Count<5>{});
    case 4: return tile(first, Count<4>{});
    case 3: return tile(first, Count<3>{});
    case 2: return tile(first, Count<2>{});
    case 1: return tile(first, Count<1>{});
    default: return;
  }
}

}  // namespace
