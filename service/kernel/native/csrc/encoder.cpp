// See encoder.h. No arithmetic here.
#include "encoder.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <vector>

#include "helpers.h"

namespace {

// The documents that one thread reads, step by step.
class Reader {
 public:
  Reader(const Stretch& stretch, const Steps& steps, int thread)
      : s_(stretch), steps_(steps), element_(s_.precision == Precision::int8 ? 1 : sizeof(float)) {
    for (int row = thread; row < s_.rows; row += s_.threads) rows_.push_back(row);
  }

  void read() {
    for (int step = s_.begin; step < s_.end && take_rows(step); ++step) {
      const int count = int(hiddens_.size());
      const std::vector<float> scales(count, s_.scale);
      const LayerStep work{
          s_.cell, s_.input, s_.hidden, count, nullptr, inputs_.data(),
          input_scales_.data(), hidden_rows_.data(), scales.data(), 1.0f / s_.scale,
          hiddens_.data(), cells_.data(), next_rows_.data()};
      steps_.advance(work, s_.precision, 0, s_.hidden.groups);
      for (int place = 0; place < count; ++place)
        std::memcpy(written_[place], hiddens_[place], sizeof(float) * s_.units);
    }
  }

 private:
  // Points at what the documents that are long enough read and write in this step.
  bool take_rows(int step) {
    inputs_.clear(), input_scales_.clear(), hidden_rows_.clear(), next_rows_.clear();
    hiddens_.clear(), cells_.clear(), written_.clear();
    for (const int row : rows_) {
      const int length = s_.lengths[row];
      if (length <= step) break;
      const size_t place = at(row, s_.reverse ? length - 1 - step : step);
      const size_t input = s_.tokens ? size_t(s_.tokens[place]) : place;
      inputs_.push_back(static_cast<const char*>(s_.inputs) + input * s_.input_width * element_);
      input_scales_.push_back(s_.input_scales[s_.tokens ? input : 0]);
      const size_t before = at(row, s_.reverse ? length - step : step - 1);
      hidden_rows_.push_back(step == 0 ? s_.first_activation : output(before));
      next_rows_.push_back(output(place));
      hiddens_.push_back(s_.states + size_t(row) * s_.units);
      cells_.push_back(s_.cells ? s_.cells + size_t(row) * s_.units : nullptr);
      written_.push_back(s_.hiddens + place * s_.units);
    }
    return !hiddens_.empty();
  }

  size_t at(int row, int position) const { return size_t(row) * s_.positions + position; }

  void* output(size_t place) const {
    return static_cast<char*>(s_.outputs) +
           (place * s_.output_width + s_.output_offset) * element_;
  }

  const Stretch& s_;
  const Steps& steps_;
  const size_t element_;
  std::vector<int> rows_;
  std::vector<float> input_scales_;
  std::vector<const void*> inputs_, hidden_rows_;
  std::vector<void*> next_rows_;
  std::vector<float*> hiddens_, cells_, written_;
};

}  // namespace

void encode(const Stretch& stretch, const Steps& steps) {
  std::atomic<bool> failed{false};
  const auto read = [&](int share) {  // an exception that leaves a thread ends the process
    try {
      Reader(stretch, steps, share).read();
    } catch (...) {
      failed = true;
    }
  };
  const int helpers = stretch.threads - 1;
  Helpers others(helpers, [&](int number) { read(number); });
  read(0);
  for (int share = others.started() + 1; share < stretch.threads; ++share) read(share);
  others.join();
  if (failed) throw std::bad_alloc();
}
