// See language_model.h. The calling thread does all bookkeeping; the pool helps with the
// arithmetic.
#include "language_model.h"

#include <algorithm>
#include <chrono>

#include "denormals.h"

namespace {

constexpr int LANES = 16;
constexpr int ROUND_TOKENS = 64;  // of all rows, at least: more would delay an interrupt
constexpr int LEAST_LOGIT_ROWS = 24;
constexpr int STEP_SHARE = 4;  // a step must be worth a quarter of a call
constexpr int PIECES = 24;     // per matrix: few enough for low overhead, many enough for balance

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
      logit_rows_(std::max(description.rows, LEAST_LOGIT_ROWS)),
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
  logit_memory_.resize(size_t(logit_rows_) * row_width_);
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
    cursor.left = call.steps;
    work.read = work.scored = work.generated = work.kept = work.failed = 0;
  }
  ended_ = false;
  call_threads_ = is_worth_sharing(call) ? pool_.size() : 1;
  {
    const ThreadPool::Active awake(call_threads_ > 1 ? &pool_ : nullptr);
    run_steps(call);
  }
  interrupted_.store(false, std::memory_order_relaxed);
}

// Whether a call is long enough to wake other threads for it, and a step to synchronize them.
bool LanguageModel::is_worth_sharing(const Call& call) const {
  int64_t tokens = 0;
  for (int index = 0; index < call.count; ++index) {
    const Work& work = call.work[index];
    tokens += std::min(call.steps, work.feed_count - 1 + std::max(work.sample, 1));
  }
  const int64_t of_step = int64_t(call.count) * multiplications_;
  return tokens * multiplications_ >= description_.worth_sharing &&
         of_step * STEP_SHARE >= description_.worth_sharing;
}

void LanguageModel::run_steps(const Call& call) {
  const FlushDenormals flush;
  typedef std::chrono::steady_clock Clock;
  const auto begun = Clock::now();
  const auto is_over = [&] {
    return std::chrono::duration<double>(Clock::now() - begun).count() >= call.seconds;
  };
  for (bool first = true;; first = false) {
    const bool cut = (ended_ && call.cut_at_end) ||
                     interrupted_.load(std::memory_order_relaxed) || is_over();
    if ((!first && cut) || !begin_round(call)) return;
    for (int layer = 0; layer < description_.layers; ++layer) run_layer(layer);
    for (const Cursor* cursor : active_) description_.current[cursor->work->row] ^= 1;
    const int tasks = int(tasks_.size());
    for (int begin = 0; begin < tasks; begin += logit_rows_)
      run_output(begin, std::min(tasks, begin + logit_rows_));
    end_round();
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

// Collects the tokens that rows read in this round, and the sampler tasks. False if no row reads.
bool LanguageModel::begin_round(const Call& call) {
  active_.clear(), entries_.clear(), firsts_.clear(), tasks_.clear(), task_entries_.clear();
  for (int index = 0; index < call.count; ++index) {
    Cursor& cursor = cursors_[index];
    cursor.entry = -1;
    cursor.pending = 0;
    if (cursor.next_token(description_.end) >= 0) active_.push_back(&cursor);
  }
  const int tokens = tokens_of_round();
  for (Cursor* cursor : active_) cursor->of_round = std::min(tokens, cursor->readable());
  for (int token = 0; token < tokens; ++token) {
    firsts_.push_back(int(entries_.size()));
    for (Cursor* cursor : active_) {
      if (cursor->of_round <= token) continue;
      entries_.push_back({cursor, cursor->work->row, cursor->next_token(description_.end),
                          cursor->entry, cursor->of_round == token + 1, false});
      cursor->entry = int(entries_.size()) - 1;
      --cursor->left;
      add_task(call, *cursor);
    }
  }
  firsts_.push_back(int(entries_.size()));
  return !active_.empty();
}

// The most tokens that a row reads in this round. Rows that sample take a token each, so that all
// rows share the weights.
int LanguageModel::tokens_of_round() const {
  int most = 1;
  for (const Cursor* cursor : active_) {
    if (cursor->samples()) return 1;
    most = std::max(most, cursor->readable());
  }
  return std::min(most, std::max(1, ROUND_TOKENS / std::max(1, int(active_.size()))));
}

void LanguageModel::add_task(const Call& call, Cursor& cursor) {
  Work& work = *cursor.work;
  const bool ends_feed = work.read == work.feed_count - 1;
  const bool in_feed = work.read < work.feed_count;
  work.read = std::min(work.read + 1, work.feed_count);
  entries_.back().kept = in_feed && work.keep > 0 && work.keep == work.read;
  const bool feeds = work.read < work.feed_count;
  const bool distributes = !feeds && ends_feed && cursor.distribution != nullptr;
  const bool samples = !feeds && work.sample > 0;
  if (!(feeds ? work.score != 0 : samples || distributes)) return;
  const size_t slot = size_t(cursor.slot());
  SamplerTask task{};
  task.logits = logit_memory_.data() + tasks_.size() % logit_rows_ * row_width_;
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
  tasks_.push_back(task);
  task_entries_.push_back(int(entries_.size()) - 1);
  ++cursor.pending;
}

void LayerRows::resize(size_t count) {
  table.resize(count), inputs.resize(count), hidden_rows.resize(count), next_rows.resize(count);
  input_scales.resize(count), hidden_scales.resize(count), hiddens.resize(count);
  cells.resize(count);
}

void LanguageModel::run_layer(int layer) {
  const LayerDescription& own = layers_[layer];
  bind_layer(layer);
  const int tokens = int(firsts_.size()) - 1;
  const bool looks_up = layer == 0 && description_.table != nullptr;
  if (!looks_up && tokens > 1) multiply_inputs(layer);
  for (int token = 0; token < tokens; ++token) {
    const int first = firsts_[token], count = firsts_[token + 1] - first;
    const LayerStep step{
        description_.cell, own.input, own.hidden, count,
        looks_up || tokens > 1 ? rows_.table.data() + first : nullptr,
        rows_.inputs.data() + first, rows_.input_scales.data() + first,
        rows_.hidden_rows.data() + first, rows_.hidden_scales.data() + first,
        1.0f / own.scale, rows_.hiddens.data() + first, rows_.cells.data() + first,
        rows_.next_rows.data() + first};
    parallel_for_groups(own.hidden.groups, [&](int begin, int end) {
      steps_.advance(step, description_.precision, begin, end);
    });
    for (int index = first; index < first + count; ++index)
      if (entries_[index].kept) keep_layer(layer, entries_[index]);
  }
}

// Finds the inputs, states and outputs of all entries. Activations between the first token of a row
// and its last one are needed within the round only.
void LanguageModel::bind_layer(int layer) {
  const LayerDescription& own = layers_[layer];
  const size_t element = element_size(), width = description_.units * element;
  std::vector<char>& between = activations_[layer % 2];
  if (firsts_.size() > 2) between.resize(std::max(between.size(), entries_.size() * width));
  rows_.resize(entries_.size());
  for (size_t index = 0; index < entries_.size(); ++index) {
    const Entry& entry = entries_[index];
    if (layer > 0) {
      rows_.inputs[index] = rows_.next_rows[index];
      rows_.input_scales[index] = layers_[layer - 1].scale;
    } else if (description_.table != nullptr) {
      rows_.table[index] = description_.table + size_t(entry.token) * outputs_of(own.hidden);
    } else {
      rows_.inputs[index] = static_cast<const char*>(description_.embedding) +
                            size_t(entry.token) * description_.embedding_inputs * element;
      rows_.input_scales[index] = description_.embedding_scales[entry.token];
    }
    rows_.next_rows[index] =
        entry.last ? activation(layer, entry.row, true) : between.data() + index * width;
    rows_.hidden_rows[index] = entry.before < 0 ? activation(layer, entry.row, false)
                                                : rows_.next_rows[entry.before];
    rows_.hidden_scales[index] = own.scale;
    const size_t state = size_t(entry.row) * description_.units;
    rows_.hiddens[index] = own.hiddens + state;
    rows_.cells[index] = own.cells ? own.cells + state : nullptr;
  }
}

// W x + b for all entries at once.
void LanguageModel::multiply_inputs(int layer) {
  const Matrix& matrix = layers_[layer].input;
  const size_t width = outputs_of(matrix), count = entries_.size();
  products_.resize(std::max(products_.size(), count * width));
  std::vector<float*> outputs(count);
  for (size_t index = 0; index < count; ++index)
    rows_.table[index] = outputs[index] = products_.data() + index * width;
  multiply(matrix, {rows_.inputs.data(), rows_.input_scales.data()}, outputs);
}

// Copies the state of one layer after an entry.
void LanguageModel::keep_layer(int layer, const Entry& entry) const {
  const LayerDescription& own = layers_[layer];
  const size_t width = description_.width, from = size_t(entry.row) * description_.units;
  float* hiddens = entry.cursor->work->state + layer * width;
  std::copy_n(own.hiddens + from, width, hiddens);
  if (own.cells != nullptr)
    std::copy_n(own.cells + from, width, hiddens + description_.layers * width);
  entry.cursor->work->kept = 1;
}

// Logits and samples of some tasks, from the last layer's activations.
void LanguageModel::run_output(int begin, int end) {
  read_.inputs.clear(), read_.scales.clear();
  for (int index = begin; index < end; ++index) {
    read_.inputs.push_back(rows_.next_rows[task_entries_[index]]);
    read_.scales.push_back(layers_.back().scale);
  }
  narrow(description_.projection, read_, projected_);
  std::vector<float*> logits;
  for (int index = begin; index < end; ++index) logits.push_back(tasks_[index].logits);
  multiply(description_.output, {read_.inputs.data(), read_.scales.data()}, logits);
  if (!tails_.empty()) run_tails(begin, end);
  parallel_for(end - begin, [&](int index, int thread) {
    steps_.sample(tasks_[begin + index], scratch_[thread].data());
  });
  record_results(begin, end);
}

// Tails of an adaptive softmax, each for the tasks that need it.
void LanguageModel::run_tails(int begin, int end) {
  parallel_for(end - begin, [&](int index, int thread) {
    steps_.choose(tasks_[begin + index], scratch_[thread].data());
  });
  for (int tail = 0; tail < int(tails_.size()); ++tail) run_tail(tail, begin, end);
}

void LanguageModel::run_tail(int tail, int begin, int end) {
  Vectors vectors;
  std::vector<float*> logits;
  for (int index = begin; index < end; ++index) {
    if (!(tasks_[index].needed >> tail & 1)) continue;
    vectors.inputs.push_back(read_.inputs[index - begin]);
    vectors.scales.push_back(read_.scales[index - begin]);
    logits.push_back(tasks_[index].logits + tails_[tail].offset);
  }
  if (logits.empty()) return;
  narrow(tail_descriptions_[tail].narrow, vectors, narrowed_);
  multiply(tail_descriptions_[tail].words, {vectors.inputs.data(), vectors.scales.data()}, logits);
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
  multiply(matrix, {vectors.inputs.data(), vectors.scales.data()}, outputs);
  for (int index = 0; index < count; ++index) {
    void* to = room.quantized.data() + size_t(index) * width * sizeof(float);
    vectors.scales[index] = steps_.quantize(outputs[index], to, width, description_.precision);
    vectors.inputs[index] = to;
  }
}

void LanguageModel::multiply(
    const Matrix& matrix, const Inputs& inputs, const std::vector<float*>& outputs) {
  const LinearStep step{
      matrix, int32_t(outputs.size()), inputs.rows, inputs.scales, outputs.data()};
  parallel_for_groups(matrix.groups, [&](int begin, int end) {
    steps_.multiply(step, description_.precision, begin, end);
  });
}

void LanguageModel::end_round() {
  for (const Cursor* cursor : active_)
    ended_ = ended_ || cursor->next_token(description_.end) < 0;
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

void LanguageModel::record_results(int begin, int end) {
  for (int index = begin; index < end; ++index) {
    const SamplerTask& task = tasks_[index];
    Cursor& cursor = *entries_[task_entries_[index]].cursor;
    Work& work = *cursor.work;
    --cursor.pending;
    work.failed = work.failed || task.failed;
    if (work.failed) continue;
    const int slot = work.scored + work.generated;
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
  const int half = description_.current[row] ^ int(next);
  const size_t index = (size_t(half) * description_.rows + row) * description_.units;
  return static_cast<char*>(layers_[layer].activations) + index * element_size();
}
