// int8 products of up to sixteen rows at a time, on the matrix registers of AMX.
//
// A tile is a register of 16 lines of 64 bytes. One instruction adds to 16 x 16 sums the products of
// 64 activations of sixteen rows with 64 weights of sixteen outputs, which lie in memory as the
// instruction reads them (see matrix.h). The sums are integers and exact, so they are those of
// `dot4`. (Intel, Architecture Instruction Set Extensions Programming Reference, chapter 3)
//
// Without AMX nothing is done in tiles. GCC's functions take the numbers of tiles as literals, and
// do not tell the compiler which memory they read and write: hence the barriers.
#pragma once

#include "products.h"

namespace {

#if defined(__AMX_INT8__)

constexpr int TILE_ROWS = 16, TILE_INPUTS = 64;
constexpr int LEAST_TILE_ROWS = 4;  // fewer rows are faster in vectors

UNROLL_INLINE void memory_barrier() { asm volatile("" ::: "memory"); }

// The activations of many rows, at equal distances: weights are then read once for all of them.
class RowBlock {
 public:
  // How many rows of so many bytes it has room for, at most.
  static int room(int inputs) {
    const int rows = BYTES / distance(inputs);
    return rows < MOST_ROWS ? rows : MOST_ROWS;
  }

  void copy(const void* const* rows, int count, int inputs) {
    distance_ = distance(inputs);
    for (int row = 0; row < count; ++row)
      std::memcpy(bytes_ + row * distance_, rows[row], inputs);
    memory_barrier();
  }

  int distance() const { return distance_; }
  const uint8_t* row(int index) const { return bytes_ + index * distance_; }

 private:
  static constexpr int BYTES = 1 << 17, MOST_ROWS = 64;

  static int distance(int inputs) { return (inputs + 63) / 64 * 64; }

  int distance_;
  alignas(64) uint8_t bytes_[BYTES];
};

// Tiles 0 to 3 are sums, 4 activations, 5 weights. Tiles 6 and 7 are the activations and weights of
// the last inputs, where they are fewer than 64.
class Tiles {
 public:
  ~Tiles() { _tile_release(); }  // or each change of threads would save them

  // The product of one group of outputs, G gates each, with sixteen rows of a block or fewer.
  template <int G>
  UNROLL_INLINE void product(
      const Matrix& matrix, int group, const RowBlock& block, int first, int rows,
      const float* row_scales, f32x16 (&out)[TILE_ROWS][G]) {
    const int whole = matrix.inputs / TILE_INPUTS, rest = matrix.inputs % TILE_INPUTS;
    configure(rest);
    const int8_t* weights =
        static_cast<const int8_t*>(matrix.weights) + int64_t(group) * matrix.inputs / 4 * G * 64;
    const uint8_t* activations = block.row(first);
    const int distance = block.distance();
    _tile_zero(0);
    if constexpr (G > 1) _tile_zero(1);
    if constexpr (G > 2) _tile_zero(2);
    if constexpr (G > 3) _tile_zero(3);
#define UNROLL_TILE_PRODUCT(GATE, ACTIVATIONS, WEIGHTS)           \
  if constexpr (GATE < G) {                                       \
    _tile_loadd(WEIGHTS, weights + GATE * 64, G * 64);            \
    _tile_dpbusd(GATE, ACTIVATIONS, WEIGHTS);                     \
  }
#define UNROLL_TILE_PRODUCTS(ACTIVATIONS, WEIGHTS)                \
  _tile_loadd(ACTIVATIONS, activations, distance);                \
  UNROLL_TILE_PRODUCT(0, ACTIVATIONS, WEIGHTS)                    \
  UNROLL_TILE_PRODUCT(1, ACTIVATIONS, WEIGHTS)                    \
  UNROLL_TILE_PRODUCT(2, ACTIVATIONS, WEIGHTS)                    \
  UNROLL_TILE_PRODUCT(3, ACTIVATIONS, WEIGHTS)
    for (int tile = 0; tile < whole; ++tile) {
      UNROLL_TILE_PRODUCTS(4, 5)
      activations += TILE_INPUTS, weights += TILE_INPUTS / 4 * G * 64;
    }
    if (rest != 0) {
      UNROLL_TILE_PRODUCTS(6, 7)
    }
#undef UNROLL_TILE_PRODUCTS
#undef UNROLL_TILE_PRODUCT
    alignas(64) int32_t sums[G][TILE_ROWS][LANES];
    _tile_stored(0, sums[0], 64);
    if constexpr (G > 1) _tile_stored(1, sums[1], 64);
    if constexpr (G > 2) _tile_stored(2, sums[2], 64);
    if constexpr (G > 3) _tile_stored(3, sums[3], 64);
    memory_barrier();
    for (int gate = 0; gate < G; ++gate) {
      const Bytes::Outputs outputs(matrix, (group * G + gate) * LANES);
      for (int row = 0; row < rows; ++row)
        out[row][gate] = outputs.scaled(load<i32x16>(sums[gate][row]), row_scales[first + row]);
    }
  }

 private:
  void configure(int rest) {
    if (rest == rest_) return;
    rest_ = rest;
    struct alignas(64) {
      uint8_t palette = 1, start = 0, reserved[14] = {};
      uint16_t line_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shapes;
    if (rest != 0) shapes.line_bytes[6] = rest, shapes.lines[7] = rest / 4;
    memory_barrier();
    _tile_loadconfig(&shapes);
  }

  int rest_ = -1;
};

// Calls `block(first_row, count)` for as many rows as are worth tiles, at most `room` rows a time.
// Returns their number.
template <class Block>
UNROLL_INLINE int for_row_blocks(int rows, int room, Block block) {
  int first = 0;
  while (room >= TILE_ROWS && rows - first >= LEAST_TILE_ROWS) {
    const int left = rows - first, count = left < room ? left : room / TILE_ROWS * TILE_ROWS;
    block(first, count);
    first += count;
  }
  return first;
}

// Calls `tile(first_row, count)` for all rows of a block.
template <class Tile>
UNROLL_INLINE void for_row_tiles(int rows, Tile tile) {
  for (int first = 0; first < rows; first += TILE_ROWS)
    tile(first, rows - first < TILE_ROWS ? rows - first : TILE_ROWS);
}

#endif

}  // namespace
