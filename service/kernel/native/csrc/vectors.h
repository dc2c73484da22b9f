// Vectors of sixteen numbers and the functions on them that a step needs.
//
// The code uses the portable vector types of GCC and Clang. Only this file depends on the
// instruction set: fused multiply-add and the int8 dot product. It is compiled once per instruction
// set (see steps.cpp), so everything is inline. The build disables contraction: a function gives
// the same bits wherever it is inlined, which keeps a row's result independent of its neighbors.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

#define UNROLL_INLINE inline __attribute__((always_inline))

namespace {

constexpr int LANES = 16;

typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef int8_t i8x64 __attribute__((vector_size(64)));

template <class Vector, class Number>
UNROLL_INLINE Vector load(const Number* from) {
  Vector value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class Vector, class Number>
UNROLL_INLINE void store(Number* to, Vector value) {
  std::memcpy(to, &value, sizeof value);
}

UNROLL_INLINE f32x16 splat(float value) { return value - f32x16{}; }
UNROLL_INLINE i32x16 splat(int32_t value) { return value - i32x16{}; }
UNROLL_INLINE u32x16 splat(uint32_t value) { return value - u32x16{}; }

template <class To, class From>
UNROLL_INLINE To bits(From value) {
  To same;
  static_assert(sizeof same == sizeof value);
  std::memcpy(&same, &value, sizeof same);
  return same;
}

UNROLL_INLINE f32x16 to_float(i32x16 value) { return __builtin_convertvector(value, f32x16); }
UNROLL_INLINE f32x16 to_float(u32x16 value) { return __builtin_convertvector(value, f32x16); }
UNROLL_INLINE i32x16 to_int(f32x16 value) { return __builtin_convertvector(value, i32x16); }

UNROLL_INLINE f32x16 larger(f32x16 a, f32x16 b) { return a > b ? a : b; }
UNROLL_INLINE f32x16 smaller(f32x16 a, f32x16 b) { return a < b ? a : b; }

// a * b + c, rounded once if the processor supports it.
UNROLL_INLINE f32x16 fused(f32x16 a, f32x16 b, f32x16 c) {
#if defined(__AVX512F__)
  return bits<f32x16>(_mm512_fmadd_ps(bits<__m512>(a), bits<__m512>(b), bits<__m512>(c)));
#elif defined(__FMA__)
  struct Halves {
    __m256 low, high;
  };
  const Halves x = bits<Halves>(a), y = bits<Halves>(b), z = bits<Halves>(c);
  return bits<f32x16>(
      Halves{_mm256_fmadd_ps(x.low, y.low, z.low), _mm256_fmadd_ps(x.high, y.high, z.high)});
#else
  return a * b + c;
#endif
}

// Adds to each of 16 sums the products of its four weights with the same four activations, which
// are bytes offset by 128 and packed in one integer. Some processors multiply the bytes with their
// offset, so every sum is too large by 128 times the sum of the weights (DOTS_ARE_OFFSET: the
// caller subtracts this at the end). The others subtract the offset first.
#if defined(__AVX512VNNI__)
constexpr bool DOTS_ARE_OFFSET = true;
UNROLL_INLINE i32x16 dot4(i32x16 sums, i32x16 activations, i8x64 weights) {
  return bits<i32x16>(
      _mm512_dpbusd_epi32(bits<__m512i>(sums), bits<__m512i>(activations), bits<__m512i>(weights)));
}
#elif defined(__AVXVNNI__)
constexpr bool DOTS_ARE_OFFSET = true;
UNROLL_INLINE i32x16 dot4(i32x16 sums, i32x16 activations, i8x64 weights) {
  struct Halves {
    __m256i low, high;
  };
  const Halves s = bits<Halves>(sums), a = bits<Halves>(activations), w = bits<Halves>(weights);
  return bits<i32x16>(Halves{
      _mm256_dpbusd_avx_epi32(s.low, a.low, w.low),
      _mm256_dpbusd_avx_epi32(s.high, a.high, w.high)});
}
#elif defined(__ARM_FEATURE_DOTPROD)
constexpr bool DOTS_ARE_OFFSET = false;
UNROLL_INLINE i32x16 dot4(i32x16 sums, i32x16 activations, i8x64 weights) {
  struct Sums {
    int32x4_t part[4];
  };
  struct Numbers {
    int8x16_t part[4];
  };
  Sums s = bits<Sums>(sums);
  const Numbers w = bits<Numbers>(weights);
  const Numbers a = bits<Numbers>(activations ^ splat(int32_t(0x80808080u)));
  for (int part = 0; part < 4; ++part)
    s.part[part] = vdotq_s32(s.part[part], a.part[part], w.part[part]);
  return bits<i32x16>(s);
}
#elif defined(__AVX2__)
constexpr bool DOTS_ARE_OFFSET = false;
UNROLL_INLINE __m256i dot4_half(__m256i sums, __m256i activations, __m256i weights) {
  // |a| <= 127 and |w| <= 127, so that a pair of products fits 16 bits
  const __m256i pairs = _mm256_maddubs_epi16(
      _mm256_abs_epi8(activations), _mm256_sign_epi8(weights, activations));
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
UNROLL_INLINE i32x16 dot4(i32x16 sums, i32x16 activations, i8x64 weights) {
  struct Halves {
    __m256i low, high;
  };
  const Halves s = bits<Halves>(sums), w = bits<Halves>(weights);
  const Halves a = bits<Halves>(activations ^ splat(int32_t(0x80808080u)));
  return bits<i32x16>(Halves{dot4_half(s.low, a.low, w.low), dot4_half(s.high, a.high, w.high)});
}
#else
constexpr bool DOTS_ARE_OFFSET = false;
UNROLL_INLINE i32x16 dot4(i32x16 sums, i32x16 activations, i8x64 weights) {
  const i32x16 packed = bits<i32x16>(weights);
  for (int byte = 0; byte < 4; ++byte) {
    const int up = 24 - 8 * byte;  // sign-extend one byte of each lane
    const i32x16 weight = (packed << up) >> 24;
    sums += weight * (((activations >> (8 * byte)) & 255) - 128);
  }
  return sums;
}
#endif

UNROLL_INLINE float largest(f32x16 value) {
  float highest = value[0];
  for (int lane = 1; lane < LANES; ++lane) highest = value[lane] > highest ? value[lane] : highest;
  return highest;
}

UNROLL_INLINE double total(f32x16 value) {
  double sum = 0;
  for (int lane = 0; lane < LANES; ++lane) sum += value[lane];
  return sum;
}

// Whether any lane of a comparison's result is set.
UNROLL_INLINE bool any(i32x16 mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask(bits<__m512i>(mask), bits<__m512i>(mask)) != 0;
#else
  typedef int64_t i64x8 __attribute__((vector_size(64)));
  const i64x8 pairs = bits<i64x8>(mask);
  int64_t bits_set = 0;
  for (int lane = 0; lane < 8; ++lane) bits_set |= pairs[lane];
  return bits_set != 0;
#endif
}

// e^x within 2 units of the last index; x is first clamped to [-87, 88].
UNROLL_INLINE f32x16 exponential(f32x16 x) {
  x = smaller(larger(x, splat(-87.0f)), splat(88.0f));
  const f32x16 magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
  const f32x16 rounded = fused(x, splat(1.44269504f), magic);
  const f32x16 whole = rounded - magic;
  f32x16 rest = fused(whole, splat(-0.693359375f), x);
  rest = fused(whole, splat(2.12194440e-4f), rest);
  f32x16 series = splat(1.9875691500e-4f);  // Cephes expf
  series = fused(series, rest, splat(1.3981999507e-3f));
  series = fused(series, rest, splat(8.3334519073e-3f));
  series = fused(series, rest, splat(4.1665795894e-2f));
  series = fused(series, rest, splat(1.6666665459e-1f));
  series = fused(series, rest, splat(5.0000001201e-1f));
  series = fused(series, rest * rest, rest) + splat(1.0f);
  return bits<f32x16>(bits<i32x16>(series) + (bits<i32x16>(rounded) << 23));
}

UNROLL_INLINE f32x16 sigmoid(f32x16 x) {
  return splat(1.0f) / (splat(1.0f) + exponential(-x));
}

UNROLL_INLINE f32x16 hyperbolic_tangent(f32x16 x) {
  return fused(splat(2.0f), sigmoid(x + x), splat(-1.0f));
}

}  // namespace
