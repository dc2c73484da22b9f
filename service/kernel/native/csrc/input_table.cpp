// The table of the first layer's input products: W x + b of every token, in float32.
//
// The inputs are summed in blocks, each with fused multiply-adds from its first input to its last;
// a row is the bias, plus the first block, plus the second. The order is fixed, so that a table has
// the same bits on every processor with fused multiply-adds, whatever the number of threads.
#include <algorithm>
#include <cstring>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "steps.h"

namespace {

constexpr int ROWS_AT_ONCE = 96;  // their products stay in the cache

// All arrays are Python's. `blocks[b]` has the weights of `blocks[b].inputs` inputs and no biases.
struct InputTable {
  const float* embedding;  // [tokens][width]
  const Matrix* blocks;
  const float* biases;     // [outputs]
  float* table;            // [tokens][outputs]
  int32_t block_count, tokens, width, outputs;
};

void add_block(
    const InputTable& job, const Matrix& matrix, int begin, int first, int rows, float* products,
    const Steps& steps) {
  const void* inputs[ROWS_AT_ONCE];
  float* outputs[ROWS_AT_ONCE];
  float scales[ROWS_AT_ONCE];
  const int padded = matrix.groups * matrix.gates * 16;
  for (int row = 0; row < rows; ++row) {
    inputs[row] = job.embedding + int64_t(first + row) * job.width + begin;
    outputs[row] = products + int64_t(row) * padded;
    scales[row] = 1.0f;
  }
  steps.multiply({matrix, rows, inputs, scales, outputs}, Precision::float32, 0, matrix.groups);
  for (int row = 0; row < rows; ++row) {
    float* sums = job.table + int64_t(first + row) * job.outputs;
    const float* more = outputs[row];
    for (int output = 0; output < job.outputs; ++output) sums[output] += more[output];
  }
}

void fill(const InputTable& job, int first, int end, float* products, const Steps& steps) {
  for (; first < end; first += ROWS_AT_ONCE) {
    const int rows = std::min(ROWS_AT_ONCE, end - first);
    for (int row = 0; row < rows; ++row)
      std::memcpy(
          job.table + int64_t(first + row) * job.outputs, job.biases, sizeof(float) * job.outputs);
    for (int block = 0, begin = 0; block < job.block_count; ++block) {
      add_block(job, job.blocks[block], begin, first, rows, products, steps);
      begin += job.blocks[block].inputs;
    }
  }
}

void fill_in_threads(const InputTable& job, int threads, const Steps& steps) {
  const int64_t padded = int64_t(job.blocks[0].groups) * job.blocks[0].gates * 16;
  const std::unique_ptr<float[]> products(new float[threads * ROWS_AT_ONCE * padded]);
  std::vector<std::thread> others;
  others.reserve(threads);
  const auto part = [&](int index) {
    const int begin = int(int64_t(job.tokens) * index / threads);
    const int end = int(int64_t(job.tokens) * (index + 1) / threads);
    fill(job, begin, end, products.get() + index * ROWS_AT_ONCE * padded, steps);
  };
  int started = 1;
  try {
    for (; started < threads; ++started) others.emplace_back(part, started);
  } catch (const std::system_error&) {  // no more threads: this one does the rest
  }
  part(0);
  for (int index = started; index < threads; ++index) part(index);
  for (std::thread& other : others) other.join();
}

}  // namespace

#pragma GCC visibility push(default)
// Returns 0, or 2 if memory cannot be allocated.
extern "C" int unroll_fill_input_table(const InputTable* job, int threads, const char* wanted) {
  const Steps* steps = choose_steps(wanted);
  if (steps == nullptr) return 2;
  try {
    fill_in_threads(*job, threads, *steps);
    return 0;
  } catch (...) {
    return 2;
  }
}
#pragma GCC visibility pop
