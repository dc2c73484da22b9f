// Exits with 0 if the dot product of the compiled instruction set is exact for random bytes.
#include "vectors.h"

int main() {
  uint32_t random = 1;
  const auto next = [&] { return random = random * 1664525u + 1013904223u, random >> 24; };
  for (int round = 0; round < 10000; ++round) {
    uint8_t activations[4];
    int8_t weights[64];
    for (uint8_t& activation : activations) activation = uint8_t(1 + next() % 255);
    for (int8_t& weight : weights) weight = int8_t(int(next() % 255) - 127);
    const i32x16 sums =
        dot4(splat(int32_t(round)), splat(load<int32_t>(activations)), load<i8x64>(weights));
    for (int lane = 0; lane < LANES; ++lane) {
      int expected = round;
      for (int byte = 0; byte < 4; ++byte)
        expected += weights[4 * lane + byte] * (activations[byte] - (DOTS_ARE_OFFSET ? 0 : 128));
      if (sums[lane] != expected) return 1;
    }
  }
  return 0;
}
