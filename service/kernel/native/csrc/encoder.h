// One layer of a document encoder, in one direction, over a stretch of steps of many documents.
#pragma once

#include <cstdint>

#include "steps.h"

// Rows are documents, longest first. Kept in step with native_library.py.
struct Stretch {
  Cell cell;
  Precision precision;
  Matrix input;
  Matrix hidden;
  const int32_t* tokens;        // (rows, positions) into the inputs, or null: as the rows stand
  const void* inputs;           // (vocabulary or rows x positions, input width): activations
  const float* input_scales;    // what one unit of an input is worth: of each token, or the one
  int32_t input_width;
  float scale;                  // of this layer's activations
  void* outputs;                // (rows, positions, output width): this layer's activations
  int32_t output_width;
  int32_t output_offset;        // where this direction's begin
  float* hiddens;               // (rows, positions, units): float32
  const void* first_activation; // (units)
  float* states;                // (rows, units), carried from stretch to stretch
  float* cells;                 // the same, or null
  int32_t rows, positions, units;
  const int32_t* lengths;       // (rows), falling, each at least 1
  int32_t begin, end;           // steps
  int32_t reverse;              // whether a document is read from its last token to its first
  int32_t threads;
};

// Documents are shared out among threads, which need not wait for one another.
void encode(const Stretch& stretch, const Steps& steps);
