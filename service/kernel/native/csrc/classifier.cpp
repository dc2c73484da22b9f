// See classifier.h. Documents are read by layer and direction, and divided among threads, which do
// not wait for one another.
#include "classifier.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <new>

#include "ngrams.h"
#include "worker_threads.h"

namespace {

constexpr int MIN_ROWS = 8;  // fewer rows count as so many; ROW_MULTIPLE of the torch kernel

int64_t products_of(const Matrix& matrix) {
  return int64_t(matrix.groups) * matrix.gates * 16 * matrix.inputs;
}

}  // namespace

// Reads some documents in one layer and direction, step by step.
class DocumentBatch::Reader {
 public:
  Reader(DocumentBatch& batch, int share, int shares)
      : batch_(batch),
        classifier_(batch.classifier_),
        direction_(classifier_.direction[batch.layer_ * classifier_.directions + batch.direction_]),
        scale_(classifier_.scales[batch.layer_]),
        is_last_layer_(batch.layer_ + 1 == classifier_.layers),
        width_(size_t(classifier_.directions) * classifier_.units) {
    for (int row = share; row < int(batch.documents_.size()); row += shares) rows_.push_back(row);
    scales_.assign(rows_.size(), scale_);
  }

  void read(int begin, int end) {
    for (int step = begin; step < end && take_rows(step); ++step) {
      const LayerStep work{
          classifier_.cell, direction_.input, direction_.hidden, int(hiddens_.size()), nullptr,
          inputs_.data(), input_scales_.data(), hidden_rows_.data(), scales_.data(), 1.0f / scale_,
          hiddens_.data(), cells_.data(), next_rows_.data()};
      batch_.steps_.advance(work, classifier_.precision, 0, direction_.hidden.groups);
      if (is_last_layer_)
        for (size_t index = 0; index < hiddens_.size(); ++index) pool(rows_[index], step);
    }
  }

 private:
  // Collects pointers to the data of this step's documents. False if no document is left.
  bool take_rows(int step) {
    inputs_.clear(), input_scales_.clear(), hidden_rows_.clear(), next_rows_.clear();
    hiddens_.clear(), cells_.clear();
    for (const int row : rows_) {
      const Document& document = batch_.documents_[row];
      if (document.length <= step) break;
      const size_t place =
          document.first + (batch_.direction_ ? document.length - 1 - step : step);
      take_input(place);
      const size_t before = batch_.direction_ ? place + 1 : place - 1;
      hidden_rows_.push_back(step == 0 ? direction_.first_activation : output(before));
      next_rows_.push_back(output(place));
      const size_t state = size_t(row) * classifier_.units;
      hiddens_.push_back(batch_.states_.data() + state);
      cells_.push_back(direction_.first_cell ? batch_.cells_.data() + state : nullptr);
    }
    return !hiddens_.empty();
  }

  void take_input(size_t place) {
    if (batch_.layer_ > 0) {
      inputs_.push_back(batch_.inputs_.data() + place * width_ * batch_.element_);
      input_scales_.push_back(classifier_.scales[batch_.layer_ - 1]);
      return;
    }
    const bool has_ngrams = classifier_.ngrams > 1;
    const size_t index = has_ngrams ? place : size_t(batch_.tokens_[place]);
    const char* rows = has_ngrams ? batch_.word_inputs_.data()
                                  : static_cast<const char*>(classifier_.embedding);
    const float* scales = has_ngrams ? batch_.word_scales_.data() : classifier_.embedding_scales;
    inputs_.push_back(rows + index * classifier_.embedding_width * batch_.element_);
    input_scales_.push_back(scales[index]);
  }

  char* output(size_t place) {
    const size_t index = place * width_ + size_t(batch_.direction_) * classifier_.units;
    return batch_.outputs_.data() + index * batch_.element_;
  }

  // Adds a state of the last layer to the inputs of the MLP: final states, maxima, means.
  void pool(int row, int step) {
    const int hidden = classifier_.hidden;
    const int length = batch_.documents_[row].length;
    const float* state = batch_.states_.data() + size_t(row) * classifier_.units;
    float* final_state = batch_.pooled(row) + size_t(batch_.direction_) * hidden;
    if (step + 1 == length) std::memcpy(final_state, state, sizeof(float) * hidden);
    if (!classifier_.pools_states) return;
    float* maximum = final_state + size_t(classifier_.directions) * hidden;
    float* mean = maximum + size_t(classifier_.directions) * hidden;
    double* sum = batch_.sums_.data() + size_t(row) * hidden;
    for (int unit = 0; unit < hidden; ++unit) {
      maximum[unit] = step == 0 ? state[unit] : std::max(maximum[unit], state[unit]);
      sum[unit] = step == 0 ? state[unit] : sum[unit] + state[unit];
    }
    if (step + 1 == length)
      for (int unit = 0; unit < hidden; ++unit) mean[unit] = float(sum[unit] / length);
  }

  DocumentBatch& batch_;
  const ClassifierDescription& classifier_;
  const DirectionDescription& direction_;
  const float scale_;
  const bool is_last_layer_;
  const size_t width_;  // of a token's activations
  std::vector<int> rows_;
  std::vector<float> input_scales_, scales_;
  std::vector<const void*> inputs_, hidden_rows_;
  std::vector<void*> next_rows_;
  std::vector<float*> hiddens_, cells_;
};

DocumentBatch::DocumentBatch(
    const ClassifierDescription& classifier, const Steps& steps, const int32_t* tokens,
    const int32_t* lengths, int rows, int threads, float* logits, float* features)
    : classifier_(classifier),
      steps_(steps),
      tokens_(tokens),
      threads_(std::min(threads, rows)),
      logits_(logits),
      features_(features),
      element_(classifier.precision == Precision::int8 ? 1 : sizeof(float)) {
  for (int row = 0; row < rows; ++row) {
    documents_.push_back({row, lengths[row], token_count_});
    token_count_ += lengths[row];
  }
  std::stable_sort(
      documents_.begin(), documents_.end(),
      [](const Document& a, const Document& b) { return a.length > b.length; });
  pooled_.resize(size_t(rows) * classifier.mlp.inputs);
  states_.resize(size_t(rows) * classifier.units);
  if (classifier.cell == Cell::lstm) cells_.resize(states_.size());
  if (classifier.pools_states) sums_.resize(size_t(rows) * classifier.hidden);
}

bool DocumentBatch::run(int64_t row_steps) {
  const int longest = documents_.front().length;
  const int rows = std::max(int(documents_.size()), MIN_ROWS);
  while (layer_ < classifier_.layers) {
    if (row_steps <= 0) return false;
    if (step_ == 0 && direction_ == 0) begin_layer();
    if (step_ == 0) begin_direction();
    const int64_t steps = std::max<int64_t>(1, row_steps / rows);
    const int end = int(std::min<int64_t>(step_ + steps, longest));
    read(step_, end);
    row_steps -= int64_t(end - step_) * rows;
    step_ = end;
    if (step_ < longest) continue;
    step_ = 0;
    direction_ = (direction_ + 1) % classifier_.directions;
    if (direction_ == 0) ++layer_;
  }
  if (row_steps <= 0) return false;
  compute_logits();
  return true;
}

void DocumentBatch::begin_layer() {
  if (layer_ == 0 && classifier_.ngrams > 1) embed();
  std::swap(inputs_, outputs_);
  outputs_.resize(token_count_ * classifier_.directions * classifier_.units * element_);
}

void DocumentBatch::begin_direction() {
  const DirectionDescription& direction =
      classifier_.direction[layer_ * classifier_.directions + direction_];
  const int units = classifier_.units;
  for (size_t row = 0; row < documents_.size(); ++row) {
    std::copy_n(direction.first_hidden, units, states_.data() + row * units);
    if (direction.first_cell) std::copy_n(direction.first_cell, units, cells_.data() + row * units);
  }
}

// Adds the vectors of the n-grams around each token to its own.
void DocumentBatch::embed() {
  const int width = classifier_.width, padded = classifier_.embedding_width;
  words_.resize(token_count_ * width);
  word_inputs_.resize(token_count_ * padded * element_);
  word_scales_.resize(token_count_);
  std::vector<float> row(padded);
  for (const Document& document : documents_) {
    const int32_t* tokens = tokens_ + document.first;
    for (int position = 0; position < document.length; ++position) {
      std::copy_n(classifier_.vectors + size_t(tokens[position]) * width, width, row.begin());
      for (int n = 2; n <= classifier_.ngrams; ++n) {
        const int64_t bucket = int64_t(n - 2) * classifier_.ngram_buckets +
            ngram_bucket(tokens, document.length, position, n, classifier_.ngram_buckets);
        const float* vector = classifier_.ngram_vectors + size_t(bucket) * width;
        for (int index = 0; index < width; ++index) row[index] += vector[index];
      }
      const size_t place = document.first + position;
      std::copy_n(row.begin(), width, words_.data() + place * width);
      word_scales_[place] = steps_.quantize(
          row.data(), word_inputs_.data() + place * padded * element_, padded,
          classifier_.precision);
    }
  }
}

void DocumentBatch::read(int begin, int end) {
  const DirectionDescription& direction = classifier_.direction[layer_ * classifier_.directions];
  const int64_t products = (products_of(direction.input) + products_of(direction.hidden)) *
      (end - begin) * int64_t(documents_.size());
  const int shares = products < classifier_.worth_sharing ? 1 : threads_;
  std::atomic<bool> failed{false};
  const auto share_of = [&](int share) {  // an exception that leaves a thread ends the process
    try {
      Reader(*this, share, shares).read(begin, end);
    } catch (...) {
      failed = true;
    }
  };
  WorkerThreads workers(shares - 1, share_of);
  share_of(0);
  for (int share = workers.started() + 1; share < shares; ++share) share_of(share);
  workers.join();
  if (failed) throw std::bad_alloc();
}

const float* DocumentBatch::word_vector(size_t place) const {
  const size_t width = classifier_.width;
  if (classifier_.ngrams > 1) return words_.data() + place * width;
  return classifier_.vectors + size_t(tokens_[place]) * width;
}

void DocumentBatch::pool_words(const Document& document, float* maximum, float* mean) const {
  const int width = classifier_.width;
  std::vector<double> sum(width);
  std::fill_n(maximum, width, -std::numeric_limits<float>::infinity());
  for (int position = 0; position < document.length; ++position) {
    const float* vector = word_vector(document.first + position);
    for (int index = 0; index < width; ++index) {
      maximum[index] = std::max(maximum[index], vector[index]);
      sum[index] += vector[index];
    }
  }
  for (int index = 0; index < width; ++index) mean[index] = float(sum[index] / document.length);
}

// The number of pooled features of a document.
int DocumentBatch::feature_count() const {
  const int states = classifier_.directions * classifier_.hidden;
  const int words = classifier_.pools_words ? 2 * classifier_.width : 0;
  return (classifier_.pools_states ? 3 : 1) * states + words;
}

// The MLP, the output layer and the linear part.
void DocumentBatch::compute_logits() {
  const int rows = int(documents_.size()), labels = classifier_.labels;
  const size_t mlp_width = size_t(classifier_.mlp.groups) * 64;
  const size_t output_width = size_t(classifier_.output.groups) * 64;
  std::vector<float> activations(rows * mlp_width), logits(rows * output_width), scales(rows, 1.0f);
  std::vector<const void*> pooled_rows(rows), activation_rows(rows);
  std::vector<float*> mlp_outputs(rows), logit_rows(rows);
  const int states = classifier_.directions * classifier_.hidden;
  for (int row = 0; row < rows; ++row) {
    float* words = pooled(row) + size_t(classifier_.pools_states ? 3 : 1) * states;
    if (classifier_.pools_words) pool_words(documents_[row], words, words + classifier_.width);
    if (features_) {
      const int count = feature_count();
      std::copy_n(pooled(row), count, features_ + size_t(documents_[row].row) * count);
    }
    pooled_rows[row] = pooled(row);
    activation_rows[row] = mlp_outputs[row] = activations.data() + row * mlp_width;
    logit_rows[row] = logits.data() + row * output_width;
  }
  const LinearStep mlp{classifier_.mlp, rows, pooled_rows.data(), scales.data(), mlp_outputs.data()};
  steps_.multiply(mlp, Precision::float32, 0, classifier_.mlp.groups);
  for (float& activation : activations) activation = activation < 0 ? 0.0f : activation;
  const LinearStep output{
      classifier_.output, rows, activation_rows.data(), scales.data(), logit_rows.data()};
  steps_.multiply(output, Precision::float32, 0, classifier_.output.groups);
  const LinearPart linear{
      classifier_.linear_importance, classifier_.linear_weights, classifier_.linear_biases,
      classifier_.linear_ngrams, classifier_.linear_buckets, classifier_.vocabulary, labels};
  for (int row = 0; row < rows; ++row) {
    const Document& document = documents_[row];
    float* result = logits_ + size_t(document.row) * labels;
    std::copy_n(logit_rows[row], labels, result);
    if (linear.importance) linear.add(tokens_ + document.first, document.length, result);
  }
}
