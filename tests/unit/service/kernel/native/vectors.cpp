// Exits with 0 if each function on vectors gives the numbers of the same function on one lane.
// Otherwise the status is the line of the first wrong one.
#include "vectors.h"

#define EXPECT(condition) \
  if (!(condition)) return __LINE__

int main() {
  uint32_t random = 1;
  const auto next = [&] { return random = random * 1664525u + 1013904223u; };
  for (int round = 0; round < 10000; ++round) {
    uint32_t numbers[LANES + 1];
    float floats[LANES + 1], others[LANES];
    for (uint32_t& number : numbers) number = next() >> (round % 32);
    for (float& value : floats) value = float(int32_t(next())) * 0x1p-28f;
    for (float& value : others) value = float(int32_t(next())) * 0x1p-28f;
    const u32x16 u = load<u32x16>(numbers + 1);  // not aligned
    const f32x16 a = load<f32x16>(floats + 1), b = load<f32x16>(others);
    const i32x16 whole = to_int(a);
    const u32x16 shifted = (u << 3) ^ (u >> 5);
    const f32x16 chosen = where(a > b, a - b, a * b), quotient = -a / b;
    float stored[LANES + 1];
    store(stored + 1, larger(a, smaller(b, splat(1.0f))));
    uint8_t bytes[LANES];
    store(bytes, to_bytes(bits<i32x16>(u)));
    double sum = 0;
    float highest = floats[1];
    bool some = false;
    for (int lane = 0; lane < LANES; ++lane) {
      const float x = floats[lane + 1], y = others[lane];
      const uint32_t number = numbers[lane + 1];
      sum += x;
      highest = x > highest ? x : highest;
      some = some || x > 7.5f;
      EXPECT(a[lane] == x);
      EXPECT(to_float(u)[lane] == float(number));
      EXPECT(whole[lane] == int32_t(x));
      EXPECT(to_float(whole)[lane] == float(int32_t(x)));
      EXPECT(shifted[lane] == ((number << 3) ^ (number >> 5)));
      EXPECT((~bits<i32x16>(u))[lane] == ~int32_t(number));
      EXPECT(chosen[lane] == (x > y ? x - y : x * y));
      EXPECT(quotient[lane] == -x / y);
      const float small = y < 1.0f ? y : 1.0f;
      EXPECT(stored[lane + 1] == (x > small ? x : small));
      EXPECT(bytes[lane] == uint8_t(number));
    }
    EXPECT(total(a) == sum);
    EXPECT(largest(a) == highest);
    EXPECT(any(a > splat(7.5f)) == some);
  }
  return 0;
}
