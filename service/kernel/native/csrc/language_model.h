// The rows of one language model, and the progress of each row through its work. No arithmetic.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "automaton.h"
#include "steps.h"
#include "thread_pool.h"

// --- The structures that Python passes; library.py has the same ones ----------------------------

struct LayerDescription {
  Matrix input;         // weights null: the table is used instead
  Matrix hidden;
  float* hiddens;       // (rows, units), float32, units padded to 16
  float* cells;         // like `hiddens`, or null
  void* activations;    // (2, rows, units); `current` selects one of the two
  float scale;          // scale of an activation's unit (1 for float32)
};

struct TailDescription {
  Matrix narrow;        // weights null: the tail has the head's input
  Matrix words;
  int32_t begin, end;   // of the words
};

struct ModelDescription {
  Cell cell;
  Precision precision;
  int32_t layers;
  int32_t rows;
  int32_t width;               // units of a layer
  int32_t units;               // the same, padded
  int32_t vocabulary;
  int32_t end;
  int32_t suppressed_count;
  const int32_t* suppressed;
  const LayerDescription* layer;
  const float* table;          // (vocabulary, groups * gates * 16): W x + b of the first layer
  const void* embedding;       // (vocabulary, embedding_inputs) activations, when there is no table
  const float* embedding_scales;
  int32_t embedding_inputs;
  Matrix projection;           // weights null: there is none
  Matrix output;               // of all words, or of the head of an adaptive softmax
  int32_t tail_count;
  const TailDescription* tails;
  uint8_t* current;            // per row: which of its two activations is current
  int64_t worth_sharing;       // calls with fewer multiplications use one thread
};

// One row's work and its results; see RowWork and RowResult in interface.py.
struct Work {
  int32_t row;
  int32_t sample;
  int32_t feed_begin, feed_count;   // in `feed`
  int32_t seen_begin, seen_count;   // in `seen`
  int32_t score;
  int32_t distribution;             // index in the distributions, or -1
  int32_t top_k;
  int32_t top_logprobs;
  int32_t logprob;
  int32_t keep;                     // copy the state after this many tokens of the feed; 0: no copy
  int32_t counted_begin, counted_count;  // in `counted` and `counts`
  int32_t bias_begin, bias_count;   // in `bias_ids` and `bias`
  int32_t automaton_state;          // in which the first token is sampled
  int32_t padding;
  float temperature, top_p, min_p, penalty, presence, frequency;
  uint64_t seed, choice_index, position;
  float* state;                     // (parts, layers, width): the destination of the copy
  const Automaton* automaton;       // of the constraint, or null
  // results; tokens are in slots, scored ones before generated ones
  int32_t read;
  int32_t scored;
  int32_t generated;
  int32_t kept;                     // whether the state was copied
  int32_t failed;                   // logits were not finite: the row has stopped
  int32_t unused;
};

struct Call {
  Work* work;
  int32_t count;
  int32_t steps;
  int32_t top;              // slots for likeliest tokens, per token
  int32_t cut_at_end;       // whether to return as soon as a row is done
  const int32_t* feed;
  const int32_t* seen;
  const int32_t* counted;   // ids that were sampled before the call, and how often
  const int32_t* counts;
  const int32_t* bias_ids;
  const float* bias;
  int32_t* tokens;          // (count, steps)
  float* logprobs;          // (count, steps)
  int32_t* top_tokens;      // (count, steps, top)
  float* top_logprobs;
  float* distributions;     // (how many, vocabulary)
  double seconds;           // no step begins later, except the first
};

// The progress of one row through its work.
struct Cursor {
  Work* work = nullptr;
  const int32_t* feed = nullptr;
  std::vector<int32_t> seen;
  std::vector<int32_t> counted, counts;
  int32_t* tokens = nullptr;
  float* logprobs = nullptr;
  int32_t* top_tokens = nullptr;
  float* top_logprobs = nullptr;
  float* distribution = nullptr;
  int32_t last = -1;
  int32_t automaton_state = 0;

  int32_t left = 0;     // tokens that it may still read in this call
  int32_t pending = 0;  // tokens of the current round to score or sample
  int32_t of_round = 0; // tokens to read in the current round
  int32_t entry = -1;   // the row's latest entry in the current round

  // The token to read next, or -1.
  int32_t next_token(int32_t end) const {
    if (work->failed || left == 0) return -1;
    if (work->read < work->feed_count) return feed[work->read];
    const bool over = work->generated == 0 || work->generated >= work->sample || last == end;
    return over ? -1 : last;
  }

  // How many tokens it can read before it has to sample one; at least one.
  int32_t readable() const { return std::max(1, std::min(left, work->feed_count - work->read)); }

  // Whether it samples after the next token.
  bool samples() const { return work->sample > 0 && work->feed_count - work->read <= 1; }

  // Adds a sampled token to those under a penalty.
  void remember(int32_t token);

  int slot() const { return work->scored + work->generated + pending; }
};

// Input vectors of the output layer, with the scale of each.
struct Vectors {
  std::vector<const void*> inputs;
  std::vector<float> scales;
};

// The same, for a product.
struct Inputs {
  const void* const* rows;
  const float* scales;
};

// Memory for vectors after a projection.
struct Narrowed {
  std::vector<float> numbers;
  std::vector<char> quantized;
};

// One token that one row reads in the current round.
struct Entry {
  Cursor* cursor;
  int32_t row, token;
  int32_t before;     // the row's entry before this one, or -1
  bool last;          // of the row's entries
  bool kept;          // whether the state after it is copied
};

// What a layer reads and writes, for each entry; see LayerStep.
struct LayerRows {
  std::vector<const float*> table;
  std::vector<const void*> inputs, hidden_rows;
  std::vector<void*> next_rows;
  std::vector<float> input_scales, hidden_scales;
  std::vector<float*> hiddens, cells;

  void resize(size_t count);
};

// Works in rounds. In a round each row reads one token, or several of its feed if no row has to
// sample after each: then a layer's input products are those of one matrix and all tokens, and only
// the recurrent products follow one another. The numbers are the same.
class LanguageModel {
 public:
  LanguageModel(const ModelDescription& description, int threads, const Steps& steps);

  void run(const Call& call);

  // Copy a row's state to or from arrays of (layers, width); cells may be null.
  void save(int row, float* hiddens, float* cells) const;
  void restore(int row, const float* hiddens, const float* cells);

  // Ends the current call, or the next one, after its current step. Thread-safe.
  void interrupt() { interrupted_.store(true, std::memory_order_relaxed); }

 private:
  bool is_worth_sharing(const Call& call) const;
  void run_steps(const Call& call);
  void parallel_for(int pieces, const ThreadPool::Job& job);
  void parallel_for_groups(int groups, const std::function<void(int begin, int end)>& work);
  bool begin_round(const Call& call);
  int tokens_of_round() const;
  void add_task(const Call& call, Cursor& cursor);
  void record_results(int begin, int end);
  void end_round();
  void run_layer(int layer);
  void bind_layer(int layer);
  void multiply_inputs(int layer);
  void keep_layer(int layer, const Entry& entry) const;
  void run_output(int begin, int end);
  void run_tails(int begin, int end);
  void run_tail(int tail, int begin, int end);
  void narrow(const Matrix& matrix, Vectors& vectors, Narrowed& room);
  void multiply(const Matrix& matrix, const Inputs& inputs, const std::vector<float*>& outputs);
  void* activation(int layer, int row, bool next) const;
  size_t element_size() const { return description_.precision == Precision::int8 ? 1 : sizeof(float); }

  const ModelDescription description_;
  const std::vector<LayerDescription> layers_;
  const std::vector<int32_t> suppressed_;
  const std::vector<TailDescription> tail_descriptions_;
  std::vector<Tail> tails_;
  int row_width_;                // logits per row: head and tails, each padded
  const int logit_rows_;         // room for the logits of so many tasks
  const Steps& steps_;
  ThreadPool pool_;
  int64_t multiplications_ = 0;  // of one row in one step, without tails
  int call_threads_ = 1;              // threads of the current call
  std::atomic<bool> interrupted_{false};

  // The current round. Written between phases, read by all threads within them.
  std::vector<Cursor> cursors_;
  std::vector<Cursor*> active_;
  std::vector<Entry> entries_;        // the first token of each row, the second of each row, ...
  std::vector<int> firsts_;           // for each token of a row: its first entry; and their number
  LayerRows rows_;
  std::vector<float> products_;       // of a layer's inputs, for each entry
  std::vector<char> activations_[2];  // of this layer and the one below, for each entry
  std::vector<SamplerTask> tasks_;
  std::vector<int> task_entries_;
  Vectors read_;                 // input of the output layer, for each task of a block
  std::vector<float> logit_memory_;
  Narrowed projected_, narrowed_;
  std::vector<std::vector<float>> scratch_;
  bool ended_ = false;
};
