// The operations of a step for one instruction set: the interface between the bookkeeping
// (language_model.cpp, classifier.cpp) and the arithmetic (steps.cpp, compiled once per
// instruction set).
#pragma once

#include <cstdint>

#include "matrix.h"

enum class Cell : int32_t { elman = 0, gru = 1, lstm = 2 };
enum class Precision : int32_t { int8 = 0, float32 = 1 };

// One step of one layer, for `rows` rows. Activations are bytes or floats.
struct LayerStep {
  Cell cell;
  Matrix input;
  Matrix hidden;
  int32_t rows;
  const float* const* table;           // per row: W x + b from the table; null without a table
  const void* const* input_rows;       // per row: input activations, without a table
  const float* input_scales;           // per row
  const void* const* hidden_rows;      // per row: activations of the previous state
  const float* hidden_scales;          // per row
  float inverse_scale;                 // of the new activations
  float* const* hiddens;               // per row: float32 state, changed in place
  float* const* cells;                 // per row; null entries without a cell state
  void* const* next_rows;              // per row: activations of the new state
};

// Logits or a projection: the product of a matrix and the rows, in float32.
struct LinearStep {
  Matrix matrix;
  int32_t rows;
  const void* const* input_rows;
  const float* input_scales;
  float* const* outputs;  // per row: room for groups * gates * 16
};

constexpr int MAX_TAILS = 16;

// A tail of an adaptive softmax: the words [begin, end).
struct Tail {
  int32_t begin, end;
  int32_t offset;           // index of its first logit in a row
};

// The values wanted of one row of logits, and the results. The row is overwritten.
struct SamplerTask {
  float* logits;            // padded to a multiple of 16; values beyond the vocabulary are ignored
  int32_t vocabulary;
  bool normalized;          // whether the logits are log-probabilities
  const Tail* tails;        // of an adaptive softmax; its row begins with the head's logits
  int32_t tail_count;       // 0: the row has a logit for each word
  const int32_t* suppressed;     // ids that are not sampled
  int32_t suppressed_count;
  const int32_t* seen;      // ids under the penalty; may repeat
  int32_t seen_count;
  float temperature;
  int32_t top_k;
  float top_p;
  float min_p;
  float penalty;            // for repetition
  float presence, frequency;
  const int32_t* counted;   // ids that were sampled, and how often
  const int32_t* counts;
  int32_t counted_count;
  const int32_t* bias_ids;  // ids, and the numbers to add to their logits
  const float* bias;
  int32_t bias_count;
  const uint32_t* allowed;  // a bit for each token that a constraint allows, or null
  uint64_t key;             // of the random numbers
  int32_t score;            // id whose log-probability is wanted, or -1
  bool sample;
  bool logprob;             // whether the sampled token's log-probability is wanted
  int32_t top;              // number of likeliest tokens to report
  float* distribution;      // all log-probabilities, or null
  // of an adaptive softmax, between its head and its tails
  uint32_t needed;          // a bit for each tail whose logits are needed
  float head_total;         // logarithm of the sum over the head
  double lead;              // the best score of the head's words, see sampling.h
  // results
  int32_t token;            // sampled
  float score_logprob;
  float token_logprob;
  int32_t* top_tokens;
  float* top_logprobs;
  bool failed;              // whether the logits were not finite
};

constexpr int SCRATCH_FLOATS = 4;

struct Steps {
  const char* name;
  // Computes groups [begin, end) of a layer or matrix; groups are independent.
  void (*advance)(const LayerStep&, Precision, int begin, int end);
  void (*multiply)(const LinearStep&, Precision, int begin, int end);
  // Activations of float32 numbers, a multiple of 16 of them.
  void (*activate)(const float* from, void* to, int count, float inverse_scale, Precision);
  // Activations scaled to the largest number; returns the scale of one unit.
  float (*quantize)(const float* from, void* to, int count, Precision);
  // Both need scratch memory of SCRATCH_FLOATS floats per token, for 64 tokens more than there are.
  void (*choose)(SamplerTask&, void* scratch);  // after the head: selects the needed tails
  void (*sample)(SamplerTask&, void* scratch);
};

extern const Steps STEPS_PLAIN;
// The build names the sets that the compiler knows.
#if defined(UNROLL_HAS_AVX2)
extern const Steps STEPS_AVX2;
#endif
#if defined(UNROLL_HAS_AVXVNNI)
extern const Steps STEPS_AVXVNNI;
#endif
#if defined(UNROLL_HAS_AMX)
extern const Steps STEPS_AMX;
#endif
#if defined(UNROLL_HAS_AVX512)
extern const Steps STEPS_AVX512;
#endif
#if defined(UNROLL_HAS_DOTPROD)
extern const Steps STEPS_DOTPROD;
#endif

// The fastest set of this processor, or the one named `wanted` if it is not empty; null if missing.
const Steps* choose_steps(const char* wanted);
