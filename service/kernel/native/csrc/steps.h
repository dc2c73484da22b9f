// What a step is made of, for one instruction set: the interface between the ISA-free bookkeeping
// (language_model.cpp, encoder.cpp) and the arithmetic (steps.cpp, compiled several times).
#pragma once

#include <cstdint>

#include "matrix.h"

enum class Cell : int32_t { elman = 0, gru = 1, lstm = 2 };
enum class Precision : int32_t { int8 = 0, float32 = 1 };

// One layer, one step, for `rows` rows. Pointers to activations are to bytes or floats.
struct LayerStep {
  Cell cell;
  Matrix input;
  Matrix hidden;
  int32_t rows;
  const float* const* table;           // per row: W x + b looked up; null when it is multiplied
  const void* const* input_rows;       // per row: activations read, when there is no table
  const float* input_scales;           // per row
  const void* const* hidden_rows;      // per row: activations of the state before
  const float* hidden_scales;          // per row
  float inverse_scale;                 // of the new activations
  float* const* hiddens;               // per row: float32 state, changed in place
  float* const* cells;                 // per row; null entries without a cell state
  void* const* next_rows;              // per row: activations of the state after
};

// Logits, or a projection: matrix times rows, written as float32.
struct LinearStep {
  Matrix matrix;
  int32_t rows;
  const void* const* input_rows;
  const float* input_scales;
  float* const* outputs;  // per row: room for groups * gates * 16
};

constexpr int MOST_TAILS = 16;

// A tail of an adaptive softmax: the words [begin, end).
struct Tail {
  int32_t begin, end;
  int32_t place;            // where its logits begin in a row
};

// What is wanted of one row of logits. The row is overwritten.
struct Draw {
  float* logits;            // room up to a multiple of 16; what is beyond the vocabulary is ignored
  int32_t vocabulary;
  bool normalized;          // whether the logits are log-probabilities
  const Tail* tails;        // of an adaptive softmax, whose row begins with the head's logits
  int32_t tail_count;       // 0: the row has a logit for each word
  const int32_t* never;     // ids that are not drawn
  int32_t never_count;
  const int32_t* seen;      // ids the penalty holds for; may repeat
  int32_t seen_count;
  float temperature;
  int32_t top_k;
  float top_p;
  float min_p;
  float penalty;
  uint64_t key;             // of the random numbers
  int32_t score;            // id whose log-probability is wanted, or -1
  bool draw;
  bool logprob;             // whether the drawn token's log-probability is wanted
  int32_t top;              // how many of the likeliest are reported
  float* distribution;      // all log-probabilities, or null
  // an adaptive softmax between its head and its tails
  uint32_t needed;          // tails whose logits are wanted, a bit for each
  float head_total;         // logarithm of the sum over the head
  double lead;              // the arrival, see draw.h, of the first of the head's words
  // answers
  int32_t token;            // drawn
  float score_logprob;
  float token_logprob;
  int32_t* top_tokens;
  float* top_logprobs;
  bool failed;              // logits that are not finite
};

constexpr int SCRATCH = 4;

struct Steps {
  const char* name;
  // groups [begin, end) of a layer or matrix; different groups may run in different threads
  void (*advance)(const LayerStep&, Precision, int begin, int end);
  void (*multiply)(const LinearStep&, Precision, int begin, int end);
  // activations of float32 numbers (a multiple of 16 of them)
  void (*activate)(const float* from, void* to, int count, float inverse_scale, Precision);
  // the same, scaled to the largest; returns what one unit is worth
  float (*quantize)(const float* from, void* to, int count, Precision);
  // Both need scratch memory of SCRATCH floats for each token, and as many for 64 more.
  void (*choose)(Draw&, void* scratch);  // after the head: which tails are needed
  void (*draw)(Draw&, void* scratch);
};

extern const Steps STEPS_PLAIN;
#if defined(__x86_64__)
extern const Steps STEPS_AVX2;
extern const Steps STEPS_AVX512;
#endif

// The fastest that this processor has; `wanted` names one ("" for no wish), null if it has not.
const Steps* choose_steps(const char* wanted);
