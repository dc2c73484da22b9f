// One layer of a document encoder, in one direction, over a slice of time steps of many documents.
#pragma once

#include <cstdint>

#include "steps.h"

// Rows are documents, longest first. library.py has the same structure.
struct EncoderSlice {
  Cell cell;
  Precision precision;
  Matrix input;
  Matrix hidden;
  const int32_t* tokens;        // (rows, positions) into the inputs; null: one input per position
  const void* inputs;           // (vocabulary or rows x positions, input width): activations
  const float* input_scales;    // scale of an input's unit: per token, or a single one
  int32_t input_width;
  float scale;                  // of this layer's activations
  void* outputs;                // (rows, positions, output width): this layer's activations
  int32_t output_width;
  int32_t output_offset;        // first column of this direction
  float* hiddens;               // (rows, positions, units): float32
  const void* first_activation; // (units)
  float* states;                // (rows, units), carried from slice to slice
  float* cells;                 // like `states`, or null
  int32_t rows, positions, units;
  const int32_t* lengths;       // (rows), descending, each at least 1
  int32_t begin, end;           // steps
  int32_t reverse;              // whether documents are read from last token to first
  int32_t threads;
};

// Divides the documents among threads, which do not wait for one another.
void encode(const EncoderSlice& slice, const Steps& steps);
