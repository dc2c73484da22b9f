// See language_model.h. The calling thread does all bookkeeping; the pool helps with the
// arithmetic.
#include "language_model.h"

#include <algorithm>
#include <chrono>

#include "denormals.h"

namespace {

constexpr int LANES = 16;
constexpr int PIECES = 24;  // per matrix: few enough for low overhead, many enough for balance

uint64_t splitmix(uint64_t value) {  // Steele, Lea and Flood, 2014
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

uint64_t random_key(uint64_t seed, uint64_t choice_index, uint64_t position) {
  return splitmix(splitmix(splitmix(seed) ^ choice_index) ^ position);
}

int padded(int count) { return (count + LANES - 1) / LANES * LANES; }

int64_t multiplications_of(const Matrix& matrix) {
  return matrix.weights == nullptr
      ? 0 : int64_t(matrix.groups) * matrix.gates * LANES * matrix.inputs;
}

int outputs_of(const Matrix& matrix) { return matrix.groups * matrix.gates * LANES; }

}  // namespace

LanguageModel::LanguageModel(const ModelDescription& description, int threads, const Steps& steps)
    : description_(description),
      layers_(description.layer, description.layer + description.layers),
      suppressed_(description.suppressed, description.suppressed + description.suppressed_count),
      tail_descriptions_(description.tails, description.tails + description.tail_count),
      row_width_(outputs_of(description.output)),
      steps_(steps),
      pool_(threads),
      cursors_(description.rows),
      scratch_(threads) {
  for (auto& scratch : scratch_)
    scratch.resize(SCRATCH_FLOATS * padded(description.vocabulary + 64));
  multiplications_ = multiplications_of(description.projection) +
                     multiplications_of(description.output);
  for (const LayerDescription& layer : layers_)
    multiplications_ += multiplications_of(layer.input) + multiplications_of(layer.hidden);
  for (const TailDescription& tail : tail_descriptions_) {
    tails_.push_back({tail.begin, tail.end, row_width_});
    row_width_ += outputs_of(tail.words);
  }
  logit_memory_.resize(size_t(description.rows) * row_width_);
}

void LanguageModel::run(const Call& call) {
  for (int index = 0; index < call.count; ++index) {
    Cursor& cursor = cursors_[index];
    Work& work = call.work[index];
    const size_t slots = size_t(index) * call.steps;
    cursor.work = &work;
    cursor.feed = call.feed + work.feed_begin;
    cursor.seen.assign(call.seen + work.seen_begin, call.seen + work.seen_begin + work.seen_count);
    const int32_t counted_end = work.counted_begin + work.counted_count;
    cursor.counted.assign(call.counted + work.counted_begin, call.counted + counted_end);
    cursor.counts.assign(call.counts + work.counted_begin, call.counts + counted_end);
    cursor.tokens = call.tokens + slots;
    cursor.logprobs = call.logprobs + slots;
    cursor.top_tokens = call.top_tokens + slots * call.top;
    cursor.top_logprobs = call.top_logprobs + slots * call.top;
    cursor.distribution = work.distribution < 0
        ? nullptr : call.distributions + size_t(work.distribution) * description_.vocabulary;
    cursor.last = -1;
    cursor.automaton_state = work.automaton_state;
    work.read = work.scored = work.generated = work.kept = work.failed = 0;
  }
  ended_ = false;
  call_threads_ = call.count * multiplications_ < description_.worth_sharing ? 1 : pool_.size();
  {
    const ThreadPool::Active awake(call_threads_ > 1 ? &pool_ : nullptr);
    run_steps(call);
  }
  interrupted_.store(false, std::memory_order_relaxed);
}

void LanguageModel::run_steps(const Call& call) {
  const FlushDenormals flush;
  typedef std::chrono::steady_clock Clock;
  const auto begun = Clock::now();
  const auto is_over = [&] {
    return std::chrono::duration<double>(Clock::now() - begun).count() >= call.seconds;
  };
  for (int step = 0; step < call.steps; ++step) {
    const bool cut = (ended_ && call.cut_at_end) ||
                     interrupted_.load(std::memory_order_relaxed) || is_over();
    if ((step > 0 && cut) || !begin_step(call)) return;
    for (int layer = 0; layer < description_.layers; ++layer) run_layer(layer);
    if (!tasks_.empty()) {
      run_head();
      if (!tails_.empty()) run_tails();
      parallel_for(int(tasks_.size()), [&](int index, int thread) {
        steps_.sample(tasks_[index], scratch_[thread].data());
      });
    }
    end_step();
  }
}

// Runs every piece once: in the pool, or in the calling thread alone for small steps.
void LanguageModel::parallel_for(int pieces, const ThreadPool::Job& job) {
  if (call_threads_ > 1) return pool_.parallel_for(pieces, job);
  for (int piece = 0; piece < pieces; ++piece) job(piece, 0);
}

// Divides the groups of a matrix into pieces of sufficient size.
void LanguageModel::parallel_for_groups(int groups, const std::function<void(int, int)>& work) {
  const int pieces = call_threads_ > 1 ? std::min(groups, PIECES) : 1;
  parallel_for(pieces, [&](int piece, int) {
    work(groups * piece / pieces, groups * (piece + 1) / pieces);
  });
}

// Collects the tokens that rows read in this step, and the sampler tasks. False if no row reads.
bool LanguageModel::begin_step(const Call& call) {
  active_.clear(), rows_.clear(), tokens_.clear(), tasks_.clear(), task_cursors_.clear();
  read_.inputs.clear(), read_.scales.clear();
  for (int index = 0; index < call.count; ++index) {
    Cursor& cursor = cursors_[index];
    const int32_t token = cursor.next_token(description_.end);
    if (token < 0) continue;
    active_.push_back(&cursor);
    rows_.push_back(cursor.work->row);
    tokens_.push_back(token);
    add_task(call, cursor);
  }
  return !active_.empty();
}

void LanguageModel::add_task(const Call& call, Cursor& cursor) {
  Work& work = *cursor.work;
  const bool ends_feed = work.read == work.feed_count - 1;
  work.read = std::min(work.read + 1, work.feed_count);
  const bool feeds = work.read < work.feed_count;
  const bool distributes = !feeds && ends_feed && cursor.distribution != nullptr;
  const bool samples = !feeds && work.sample > 0;
  if (!(feeds ? work.score != 0 : samples || distributes)) return;
  const size_t slot = size_t(cursor.slot());
  SamplerTask task{};
  task.logits = logit_memory_.data() + tasks_.size() * row_width_;
  task.vocabulary = description_.vocabulary;
  task.tails = tails_.data();
  task.tail_count = int32_t(tails_.size());
  task.suppressed = suppressed_.data();
  task.suppressed_count = int32_t(suppressed_.size());
  task.seen = cursor.seen.data();
  task.seen_count = int32_t(cursor.seen.size());
  task.temperature = work.temperature;
  task.top_k = work.top_k;
  task.top_p = work.top_p;
  task.min_p = work.min_p;
  task.penalty = work.penalty;
  task.presence = work.presence;
  task.frequency = work.frequency;
  task.counted = cursor.counted.data();
  task.counts = cursor.counts.data();
  task.counted_count = int32_t(cursor.counted.size());
  task.bias_ids = call.bias_ids + work.bias_begin;
  task.bias = call.bias + work.bias_begin;
  task.bias_count = work.bias_count;
  if (work.automaton != nullptr)
    task.allowed = work.automaton->allowed_in(cursor.automaton_state);
  task.key = random_key(work.seed, work.choice_index, work.position + work.generated);
  task.score = feeds ? cursor.feed[work.read] : -1;
  task.sample = samples;
  task.logprob = samples && work.logprob != 0;
  task.top = feeds || samples ? work.top_logprobs : 0;
  task.distribution = distributes ? cursor.distribution : nullptr;
  task.top_tokens = cursor.top_tokens + slot * call.top;
  task.top_logprobs = cursor.top_logprobs + slot * call.top;
  const int top_layer = description_.layers - 1;
  read_.inputs.push_back(activation(top_layer, work.row, true));
  read_.scales.push_back(layers_[top_layer].scale);
  tasks_.push_back(task);
  task_cursors_.push_back(&cursor);
}

void LanguageModel::run_layer(int layer) {
  const LayerDescription& own = layers_[layer];
  const int count = int(rows_.size());
  std::vector<const float*> table(layer == 0 && description_.table ? count : 0);
  std::vector<const void*> inputs(count), hidden_rows(count);
  std::vector<void*> next_rows(count);
  std::vector<float> input_scales(count), hidden_scales(count, own.scale);
  std::vector<float*> hiddens(count), cells(count);
  const size_t element = description_.precision == Precision::int8 ? 1 : sizeof(float);
  for (int index = 0; index < count; ++index) {
    const int row = rows_[index];
    const int32_t token = tokens_[index];
    if (!table.empty()) {
      table[index] = description_.table + size_t(token) * outputs_of(own.hidden);
    } else if (layer == 0) {
      inputs[index] = static_cast<const char*>(description_.embedding) +
                      size_t(token) * description_.embedding_inputs * element;
      input_scales[index] = description_.embedding_scales[token];
    } else {
      inputs[index] = activation(layer - 1, row, true);
      input_scales[index] = layers_[layer - 1].scale;
    }
    hidden_rows[index] = activation(layer, row, false);
    next_rows[index] = activation(layer, row, true);
    hiddens[index] = own.hiddens + size_t(row) * description_.units;
    cells[index] = own.cells ? own.cells + size_t(row) * description_.units : nullptr;
  }
  const LayerStep step{
      description_.cell, own.input, own.hidden, count, table.empty() ? nullptr : table.data(),
      inputs.data(), input_scales.data(), hidden_rows.data(), hidden_scales.data(),
      1.0f / own.scale, hiddens.data(), cells.data(), next_rows.data()};
  parallel_for_groups(own.hidden.groups, [&](int begin, int end) {
    steps_.advance(step, description_.precision, begin, end);
  });
}

// From the last layer's activations to logits, through the projection if there is one.
void LanguageModel::run_head() {
  narrow(description_.projection, read_, projected_);
  std::vector<float*> logits;
  for (const SamplerTask& task : tasks_) logits.push_back(task.logits);
  multiply(description_.output, read_, logits);
}

// Tails of an adaptive softmax, each for the rows that need it.
void LanguageModel::run_tails() {
  parallel_for(int(tasks_.size()), [&](int index, int thread) {
    steps_.choose(tasks_[index], scratch_[thread].data());
  });
  for (int tail = 0; tail < int(tails_.size()); ++tail) run_tail(tail);
}

void LanguageModel::run_tail(int tail) {
  Vectors vectors;
  std::vector<float*> logits;
  for (size_t index = 0; index < tasks_.size(); ++index) {
    if (!(tasks_[index].needed >> tail & 1)) continue;
    vectors.inputs.push_back(read_.inputs[index]);
    vectors.scales.push_back(read_.scales[index]);
    logits.push_back(tasks_[index].logits + tails_[tail].offset);
  }
  if (logits.empty()) return;
  narrow(tail_descriptions_[tail].narrow, vectors, narrowed_);
  multiply(tail_descriptions_[tail].words, vectors, logits);
}

// Replaces the vectors by their products with the matrix. Does nothing without a matrix.
void LanguageModel::narrow(const Matrix& matrix, Vectors& vectors, Narrowed& room) {
  if (matrix.weights == nullptr) return;
  const int count = int(vectors.inputs.size()), width = outputs_of(matrix);
  room.numbers.resize(size_t(count) * width);
  room.quantized.resize(room.numbers.size() * sizeof(float));
  std::vector<float*> outputs(count);
  for (int index = 0; index < count; ++index)
    outputs[index] = room.numbers.data() + size_t(index) * width;
  multiply(matrix, vectors, outputs);
  for (int index = 0; index < count; ++index) {
    void* to = room.quantized.data() + size_t(index) * width * sizeof(float);
    vectors.scales[index] = steps_.quantize(outputs[index], to, width, description_.precision);
    vectors.inputs[index] = to;
  }
}

void LanguageModel::multiply(
    const Matrix& matrix, const Vectors& vectors, const std::vector<float*>& outputs) {
  const LinearStep step{matrix, int32_t(outputs.size()), vectors.inputs.data(),
                        vectors.scales.data(), outputs.data()};
  parallel_for_groups(matrix.groups, [&](int begin, int end) {
    steps_.multiply(step, description_.precision, begin, end);
  });
}

// Makes the new activations of the rows current and records the results.
void LanguageModel::end_step() {
  for (const int row : rows_) description_.current[row] ^= 1;
  record_results();
  for (Cursor* cursor : active_) {
    Work& work = *cursor->work;
    if (work.keep > 0 && work.keep == work.read && !work.kept) {
      save(work.row, work.state, work.state + size_t(description_.layers) * description_.width);
      work.kept = 1;
    }
    ended_ = ended_ || cursor->next_token(description_.end) < 0;
  }
}

void LanguageModel::save(int row, float* hiddens, float* cells) const {
  const size_t width = description_.width, from = size_t(row) * description_.units;
  for (const LayerDescription& layer : layers_) {
    hiddens = std::copy_n(layer.hiddens + from, width, hiddens);
    if (layer.cells != nullptr) cells = std::copy_n(layer.cells + from, width, cells);
  }
}

void LanguageModel::restore(int row, const float* hiddens, const float* cells) {
  const size_t width = description_.width, to = size_t(row) * description_.units;
  for (int index = 0; index < description_.layers; ++index) {
    const LayerDescription& layer = layers_[index];
    std::copy_n(hiddens + index * width, width, layer.hiddens + to);
    if (layer.cells != nullptr) std::copy_n(cells + index * width, width, layer.cells + to);
    steps_.activate(layer.hiddens + to, activation(index, row, false), description_.units,
                    1.0f / layer.scale, description_.precision);
  }
}

void Cursor::remember(int32_t token) {
  if (work->penalty != 1.0f && std::find(seen.begin(), seen.end(), token) == seen.end())
    seen.push_back(token);
  if (work->presence == 0.0f && work->frequency == 0.0f) return;
  const auto place = std::find(counted.begin(), counted.end(), token);
  if (place == counted.end()) {
    counted.push_back(token);
    counts.push_back(1);
  } else {
    ++counts[place - counted.begin()];
  }
}

void LanguageModel::record_results() {
  for (size_t index = 0; index < tasks_.size(); ++index) {
    const SamplerTask& task = tasks_[index];
    Cursor& cursor = *task_cursors_[index];
    Work& work = *cursor.work;
    work.failed = task.failed;
    if (task.failed) continue;
    const int slot = cursor.slot();
    if (task.score >= 0) {
      cursor.tokens[slot] = task.score;
      cursor.logprobs[slot] = task.score_logprob;
      ++work.scored;
    } else if (task.sample) {
      cursor.tokens[slot] = cursor.last = task.token;
      cursor.logprobs[slot] = task.token_logprob;
      ++work.generated;
      cursor.remember(task.token);
      if (work.automaton != nullptr)
        cursor.automaton_state = work.automaton->after(cursor.automaton_state, task.token);
    }
  }
}

void* LanguageModel::activation(int layer, int row, bool next) const {
  const size_t element = description_.precision == Precision::int8 ? 1 : sizeof(float);
  const int half = description_.current[row] ^ int(next);
  const size_t index = (size_t(half) * description_.rows + row) * description_.units;
  return static_cast<char*>(layers_[layer].activations) + index * element;
}
