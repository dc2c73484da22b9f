// A weight matrix as packing.py packs it. Does not own its memory, which is Python's.
//
// Outputs are in groups of `gates` times 16. For a layer, a group is 16 units with all their gates;
// for an output layer, 64 neighboring outputs (4 "gates"). Inputs are padded to a multiple of 4.
// Memory is read sequentially: [group][inputs / 4][gate][16][4] for int8, [group][input][gate][16]
// for float32; values per output are [group][gate][16].
#pragma once

#include <cstdint>

struct Matrix {
  const void* weights;        // int8 or float32
  const float* scales;        // int8: scale of a weight's unit
  const int32_t* offsets;     // int8: 128 times the sum of the weights, see vectors.h
  const float* biases;
  int32_t groups;
  int32_t gates;
  int32_t inputs;             // padded
};
