// See encoder.h. This file has no arithmetic.
#include "encoder.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <vector>

#include "worker_threads.h"

namespace {

// The documents that one thread reads, step by step.
class Reader {
 public:
  Reader(const EncoderSlice& slice, const Steps& steps, int thread)
      : slice_(slice),
        steps_(steps),
        element_(slice_.precision == Precision::int8 ? 1 : sizeof(float)) {
    for (int row = thread; row < slice_.rows; row += slice_.threads) rows_.push_back(row);
  }

  void read() {
    for (int step = slice_.begin; step < slice_.end && take_rows(step); ++step) {
      const int count = int(hiddens_.size());
      const std::vector<float> scales(count, slice_.scale);
      const LayerStep work{
          slice_.cell, slice_.input, slice_.hidden, count, nullptr, inputs_.data(),
          input_scales_.data(), hidden_rows_.data(), scales.data(), 1.0f / slice_.scale,
          hiddens_.data(), cells_.data(), next_rows_.data()};
      steps_.advance(work, slice_.precision, 0, slice_.hidden.groups);
      for (int index = 0; index < count; ++index)
        std::memcpy(written_[index], hiddens_[index], sizeof(float) * slice_.units);
    }
  }

 private:
  // Collects pointers to the data of this step's documents. False if no document is left.
  bool take_rows(int step) {
    inputs_.clear(), input_scales_.clear(), hidden_rows_.clear(), next_rows_.clear();
    hiddens_.clear(), cells_.clear(), written_.clear();
    for (const int row : rows_) {
      const int length = slice_.lengths[row];
      if (length <= step) break;
      const size_t index = at(row, slice_.reverse ? length - 1 - step : step);
      const size_t input = slice_.tokens ? size_t(slice_.tokens[index]) : index;
      inputs_.push_back(
          static_cast<const char*>(slice_.inputs) + input * slice_.input_width * element_);
      input_scales_.push_back(slice_.input_scales[slice_.tokens ? input : 0]);
      const size_t before = at(row, slice_.reverse ? length - step : step - 1);
      hidden_rows_.push_back(step == 0 ? slice_.first_activation : output(before));
      next_rows_.push_back(output(index));
      hiddens_.push_back(slice_.states + size_t(row) * slice_.units);
      cells_.push_back(slice_.cells ? slice_.cells + size_t(row) * slice_.units : nullptr);
      written_.push_back(slice_.hiddens + index * slice_.units);
    }
    return !hiddens_.empty();
  }

  size_t at(int row, int position) const { return size_t(row) * slice_.positions + position; }

  void* output(size_t index) const {
    return static_cast<char*>(slice_.outputs) +
           (index * slice_.output_width + slice_.output_offset) * element_;
  }

  const EncoderSlice& slice_;
  const Steps& steps_;
  const size_t element_;
  std::vector<int> rows_;
  std::vector<float> input_scales_;
  std::vector<const void*> inputs_, hidden_rows_;
  std::vector<void*> next_rows_;
  std::vector<float*> hiddens_, cells_, written_;
};

}  // namespace

void encode(const EncoderSlice& slice, const Steps& steps) {
  std::atomic<bool> failed{false};
  const auto read = [&](int share) {  // an exception that leaves a thread ends the process
    try {
      Reader(slice, steps, share).read();
    } catch (...) {
      failed = true;
    }
  };
  WorkerThreads workers(slice.threads - 1, [&](int number) { read(number); });
  read(0);
  for (int share = workers.started() + 1; share < slice.threads; ++share) read(share);
  workers.join();
  if (failed) throw std::bad_alloc();
}
