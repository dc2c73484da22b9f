// The rows of one language model and the walk of each through its work. No arithmetic.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "steps.h"
#include "team.h"

// --- What Python hands over; kept in step with native_library.py --------------------------------

struct LayerDescription {
  Matrix input;         // weights null: looked up in the table
  Matrix hidden;
  float* hiddens;       // (rows, units), float32, units padded to 16
  float* cells;         // the same, or null
  void* activations;    // (2, rows, units): which of the two is current is told by `current`
  float scale;          // what one unit of an activation is worth (1 for float32)
};

struct TailDescription {
  Matrix narrow;        // weights null: the tail reads what the head reads
  Matrix words;
  int32_t begin, end;   // of the words
};

struct Description {
  Cell cell;
  Precision precision;
  int32_t layers;
  int32_t rows;
  int32_t width;               // units of a layer
  int32_t units;               // the same, padded
  int32_t vocabulary;
  int32_t end;
  int32_t never_count;
  const int32_t* never;
  const LayerDescription* layer;
  const float* table;          // (vocabulary, groups * gates * 16): W x + b of the first layer
  const void* embedding;       // (vocabulary, embedding_inputs) activations, when there is no table
  const float* embedding_scales;
  int32_t embedding_inputs;
  Matrix projection;           // weights null: there is none
  Matrix output;               // of all words, or of the head of an adaptive softmax
  int32_t tail_count;
  const TailDescription* tails;
  uint8_t* current;            // per row: which activations are its own now
  int64_t worth_sharing;       // steps of fewer multiplications are left to one thread
};

// One row's work, and what came of it; see interface.py.
struct Work {
  int32_t row;
  int32_t draw;
  int32_t feed_begin, feed_count;   // in `feed`
  int32_t seen_begin, seen_count;   // in `seen`
  int32_t score;
  int32_t distribution;             // place in the distributions, or -1
  int32_t top_k;
  int32_t top_logprobs;
  int32_t logprob;
  int32_t keep;                     // copy the state after so many tokens of the feed; 0: do not
  float temperature, top_p, min_p, penalty;
  uint64_t seed, choice, position;
  float* state;                     // (parts, layers, width): where that copy goes
  // results: answers stand in slots, those of scores before those of draws
  int32_t read;
  int32_t scored;
  int32_t drawn;
  int32_t kept;                     // whether the state was copied
  int32_t failed;                   // logits that are not finite: the row has stopped
  int32_t unused;
};

struct Call {
  Work* work;
  int32_t count;
  int32_t steps;
  int32_t top;              // slots for likeliest tokens, per answer
  int32_t cut_at_end;       // whether to return as soon as a row has ended
  const int32_t* feed;
  const int32_t* seen;
  int32_t* tokens;          // (count, steps)
  float* logprobs;          // (count, steps)
  int32_t* top_tokens;      // (count, steps, top)
  float* top_logprobs;
  float* distributions;     // (how many, vocabulary)
};

// How far one row has come with its work.
struct Cursor {
  Work* work = nullptr;
  const int32_t* feed = nullptr;
  std::vector<int32_t> seen;
  int32_t* tokens = nullptr;
  float* logprobs = nullptr;
  int32_t* top_tokens = nullptr;
  float* top_logprobs = nullptr;
  float* distribution = nullptr;
  int32_t last = -1;

  // The token to read in this step, or -1.
  int32_t next_token(int32_t end) const {
    if (work->failed) return -1;
    if (work->read < work->feed_count) return feed[work->read];
    const bool over = work->drawn == 0 || work->drawn >= work->draw || last == end;
    return over ? -1 : last;
  }

  int slot() const { return work->scored + work->drawn; }
};

// Vectors on their way to the output layer: of whichever row, and what one unit of each is worth.
struct Vectors {
  std::vector<const void*> inputs;
  std::vector<float> scales;
};

// Room for vectors that a matrix makes narrower.
struct Narrowed {
  std::vector<float> numbers;
  std::vector<char> quantized;
};

class LanguageModel {
 public:
  LanguageModel(const Description& description, int threads, const Steps& steps);

  void run(const Call& call);

  // A row's state, to and from memory of (layers, width) each; cells may be null.
  void save(int row, float* hiddens, float* cells) const;
  void restore(int row, const float* hiddens, const float* cells);

  // From any thread: the call under way, or the next one, ends after the step it is in.
  void interrupt() { interrupted_.store(true, std::memory_order_relaxed); }

 private:
  void run_steps(const Call& call);
  void share(int pieces, const Team::Job& job);
  void share_groups(int groups, const std::function<void(int begin, int end)>& work);
  bool begin_step(const Call& call);
  void ask(const Call& call, Cursor& cursor);
  void settle();
  void end_step();
  void run_layer(int layer);
  void run_head();
  void run_tails();
  void run_tail(int tail);
  void narrow(const Matrix& matrix, Vectors& vectors, Narrowed& room);
  void multiply(const Matrix& matrix, const Vectors& vectors, const std::vector<float*>& outputs);
  void* activation(int layer, int row, bool next) const;

  const Description description_;
  const std::vector<LayerDescription> layers_;
  const std::vector<int32_t> never_;
  const std::vector<TailDescription> tail_descriptions_;
  std::vector<Tail> tails_;
  int row_width_;                // of a row's logits: head and tails, each padded
  const Steps& steps_;
  Team team_;
  int64_t multiplications_ = 0;  // of one row in one step, tails apart
  int sharing_ = 1;              // threads of the call under way
  std::atomic<bool> interrupted_{false};

  // the step under way: written between phases, read by all in them
  std::vector<Cursor> cursors_;
  std::vector<Cursor*> active_;
  std::vector<int> rows_;
  std::vector<int32_t> tokens_;
  std::vector<Draw> draws_;
  std::vector<Cursor*> asking_;
  Vectors read_;                 // what the output layer reads, for each draw
  std::vector<float> logit_memory_;
  Narrowed projected_, narrowed_;
  std::vector<std::vector<float>> scratch_;
  bool ended_ = false;
};
