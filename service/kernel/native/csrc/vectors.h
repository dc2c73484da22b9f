// Vectors of sixteen numbers and the functions on them that a step needs.
//
// A vector consists of as many registers of the instruction set as it needs: one with AVX-512, two
// with AVX2, four otherwise. (A compiler keeps a vector type wider than a register in memory.) The
// registers are the portable vector types of GCC and Clang. Only this file and tiles.h depend on
// the instruction set: fused multiply-add, the int8 dot product, and the number of registers. It is
// compiled once per instruction set (see steps.cpp), so everything is inline. The build disables
// contraction: a function gives the same bits wherever it is inlined, which keeps a row's result
// independent of its neighbors.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

#define UNROLL_INLINE inline __attribute__((always_inline))

namespace {

constexpr int LANES = 16;

#if defined(__AVX512F__)
constexpr int REGISTER_BYTES = 64, REGISTERS = 32;
#elif defined(__AVX2__)
constexpr int REGISTER_BYTES = 32, REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int REGISTER_BYTES = 16, REGISTERS = 32;
#else
constexpr int REGISTER_BYTES = 16, REGISTERS = 16;
#endif
constexpr int PARTS = 64 / REGISTER_BYTES;  // registers of a vector

typedef float f32_part __attribute__((vector_size(REGISTER_BYTES)));
typedef int32_t i32_part __attribute__((vector_size(REGISTER_BYTES)));
typedef uint32_t u32_part __attribute__((vector_size(REGISTER_BYTES)));
typedef int8_t i8_part __attribute__((vector_size(REGISTER_BYTES)));
typedef uint8_t u8_part __attribute__((vector_size(REGISTER_BYTES / 4)));  // a byte per lane

// One register for each of PARTS, of the type `Part` with numbers of the type `Number`.
template <class NumberType, class PartType>
struct Vector {
  typedef NumberType Number;
  typedef PartType Part;
  Part part[PARTS];

  // Copies all lanes, so that the vector itself can stay in registers.
  UNROLL_INLINE Number operator[](int lane) const {
    Number numbers[64 / sizeof(Number)];
    std::memcpy(numbers, part, sizeof part);
    return numbers[lane];
  }
};

typedef Vector<float, f32_part> f32x16;
typedef Vector<int32_t, i32_part> i32x16;
typedef Vector<uint32_t, u32_part> u32x16;
typedef Vector<int8_t, i8_part> i8x64;
typedef Vector<uint8_t, u8_part> u8x16;

// A vector whose parts are those of the function.
template <class Result, class Function>
UNROLL_INLINE Result each_part(Function function) {
  if constexpr (PARTS == 1) return {{function(0)}};
  if constexpr (PARTS == 2) return {{function(0), function(1)}};
  if constexpr (PARTS == 4) return {{function(0), function(1), function(2), function(3)}};
}

#define UNROLL_OPERATOR(SIGN)                                                                \
  template <class Number, class Part>                                                        \
  UNROLL_INLINE Vector<Number, Part> operator SIGN(                                          \
      Vector<Number, Part> a, Vector<Number, Part> b) {                                      \
    return each_part<Vector<Number, Part>>([&](int p) { return a.part[p] SIGN b.part[p]; }); \
  }                                                                                          \
  template <class Number, class Part>                                                        \
  UNROLL_INLINE void operator SIGN##=(Vector<Number, Part>& a, Vector<Number, Part> b) {     \
    a = a SIGN b;                                                                            \
  }
UNROLL_OPERATOR(+)
UNROLL_OPERATOR(-)
UNROLL_OPERATOR(*)
UNROLL_OPERATOR(/)
UNROLL_OPERATOR(&)
UNROLL_OPERATOR(|)
UNROLL_OPERATOR(^)
#undef UNROLL_OPERATOR

// Comparisons give -1 where they hold and 0 elsewhere.
#define UNROLL_COMPARISON(SIGN)                                                              \
  template <class Number, class Part>                                                        \
  UNROLL_INLINE i32x16 operator SIGN(Vector<Number, Part> a, Vector<Number, Part> b) {       \
    return each_part<i32x16>([&](int p) { return a.part[p] SIGN b.part[p]; });               \
  }
UNROLL_COMPARISON(<)
UNROLL_COMPARISON(<=)
UNROLL_COMPARISON(>)
UNROLL_COMPARISON(>=)
#undef UNROLL_COMPARISON

template <class Number, class Part>
UNROLL_INLINE Vector<Number, Part> operator<<(Vector<Number, Part> a, int count) {
  return each_part<Vector<Number, Part>>([&](int p) { return a.part[p] << count; });
}

template <class Number, class Part>
UNROLL_INLINE Vector<Number, Part> operator>>(Vector<Number, Part> a, int count) {
  return each_part<Vector<Number, Part>>([&](int p) { return a.part[p] >> count; });
}

template <class Number, class Part>
UNROLL_INLINE Vector<Number, Part> operator-(Vector<Number, Part> a) {
  return each_part<Vector<Number, Part>>([&](int p) { return -a.part[p]; });
}

template <class Number, class Part>
UNROLL_INLINE Vector<Number, Part> operator~(Vector<Number, Part> a) {
  return each_part<Vector<Number, Part>>([&](int p) { return ~a.part[p]; });
}

template <class To, class From>
UNROLL_INLINE To same_bits(From value) {
  To same;
  static_assert(sizeof same == sizeof value);
  std::memcpy(&same, &value, sizeof same);
  return same;
}

template <class To, class From>
UNROLL_INLINE To bits(From value) {
  return each_part<To>([&](int p) { return same_bits<typename To::Part>(value.part[p]); });
}

template <class Result>
struct Load {
  static UNROLL_INLINE Result from(const void* memory) {
    Result value;
    std::memcpy(&value, memory, sizeof value);
    return value;
  }
};

template <class Number, class Part>
struct Load<Vector<Number, Part>> {
  static UNROLL_INLINE Vector<Number, Part> from(const void* memory) {
    return each_part<Vector<Number, Part>>([&](int p) {
      return Load<Part>::from(static_cast<const char*>(memory) + p * sizeof(Part));
    });
  }
};

// A number or a vector from memory of any alignment.
template <class Result, class Number>
UNROLL_INLINE Result load(const Number* from) {
  return Load<Result>::from(from);
}

template <class Number, class Part>
UNROLL_INLINE void store(Number* to, Vector<Number, Part> value) {
  constexpr int numbers = sizeof(Part) / sizeof(Number);
  for (int p = 0; p < PARTS; ++p) std::memcpy(to + p * numbers, &value.part[p], sizeof(Part));
}

UNROLL_INLINE f32x16 splat(float value) {
  return each_part<f32x16>([&](int) { return value - f32_part{}; });
}
UNROLL_INLINE i32x16 splat(int32_t value) {
  return each_part<i32x16>([&](int) { return value - i32_part{}; });
}
UNROLL_INLINE u32x16 splat(uint32_t value) {
  return each_part<u32x16>([&](int) { return value - u32_part{}; });
}

UNROLL_INLINE f32x16 to_float(i32x16 value) {
  return each_part<f32x16>([&](int p) { return __builtin_convertvector(value.part[p], f32_part); });
}

UNROLL_INLINE f32x16 to_float(u32x16 value) {
#if defined(__AVX512F__)
  return each_part<f32x16>([&](int p) { return __builtin_convertvector(value.part[p], f32_part); });
#else
  // Without an instruction for it. Both halves are exact, so the sum is rounded once.
  const f32x16 high = to_float(bits<i32x16>(value >> 16));
  const f32x16 low = to_float(bits<i32x16>(value & splat(uint32_t(0xFFFF))));
  return high * splat(65536.0f) + low;
#endif
}

UNROLL_INLINE i32x16 to_int(f32x16 value) {
  return each_part<i32x16>([&](int p) { return __builtin_convertvector(value.part[p], i32_part); });
}

// The lowest byte of each number.
UNROLL_INLINE u8x16 to_bytes(i32x16 value) {
  return each_part<u8x16>([&](int p) { return __builtin_convertvector(value.part[p], u8_part); });
}

// `a` where the comparison holds, else `b`.
UNROLL_INLINE f32x16 where(i32x16 holds, f32x16 a, f32x16 b) {
  return each_part<f32x16>([&](int p) { return holds.part[p] ? a.part[p] : b.part[p]; });
}

// `b` where one of them is not a number. Compilers do not find these instructions by themselves, and
// GCC 12 warns of the forms without a mask.
UNROLL_INLINE f32_part larger_part(f32_part a, f32_part b) {
#if defined(__AVX512F__)
  return same_bits<f32_part>(_mm512_maskz_max_ps(-1, same_bits<__m512>(a), same_bits<__m512>(b)));
#elif defined(__AVX2__)
  return same_bits<f32_part>(_mm256_max_ps(same_bits<__m256>(a), same_bits<__m256>(b)));
#elif defined(__SSE2__)
  return same_bits<f32_part>(_mm_max_ps(same_bits<__m128>(a), same_bits<__m128>(b)));
#else
  return a > b ? a : b;
#endif
}

UNROLL_INLINE f32_part smaller_part(f32_part a, f32_part b) {
#if defined(__AVX512F__)
  return same_bits<f32_part>(_mm512_maskz_min_ps(-1, same_bits<__m512>(a), same_bits<__m512>(b)));
#elif defined(__AVX2__)
  return same_bits<f32_part>(_mm256_min_ps(same_bits<__m256>(a), same_bits<__m256>(b)));
#elif defined(__SSE2__)
  return same_bits<f32_part>(_mm_min_ps(same_bits<__m128>(a), same_bits<__m128>(b)));
#else
  return a < b ? a : b;
#endif
}

UNROLL_INLINE i32_part larger_part(i32_part a, i32_part b) {
#if defined(__AVX512F__)
  return same_bits<i32_part>(_mm512_maskz_max_epi32(-1, same_bits<__m512i>(a), same_bits<__m512i>(b)));
#elif defined(__AVX2__)
  return same_bits<i32_part>(_mm256_max_epi32(same_bits<__m256i>(a), same_bits<__m256i>(b)));
#else
  return a > b ? a : b;
#endif
}

UNROLL_INLINE f32x16 larger(f32x16 a, f32x16 b) {
  return each_part<f32x16>([&](int p) { return larger_part(a.part[p], b.part[p]); });
}
UNROLL_INLINE f32x16 smaller(f32x16 a, f32x16 b) {
  return each_part<f32x16>([&](int p) { return smaller_part(a.part[p], b.part[p]); });
}
UNROLL_INLINE i32x16 larger(i32x16 a, i32x16 b) {
  return each_part<i32x16>([&](int p) { return larger_part(a.part[p], b.part[p]); });
}

UNROLL_INLINE f32_part fused_part(f32_part a, f32_part b, f32_part c) {
#if defined(__AVX512F__)
  return same_bits<f32_part>(
      _mm512_fmadd_ps(same_bits<__m512>(a), same_bits<__m512>(b), same_bits<__m512>(c)));
#elif defined(__FMA__)
  return same_bits<f32_part>(
      _mm256_fmadd_ps(same_bits<__m256>(a), same_bits<__m256>(b), same_bits<__m256>(c)));
#else
  return a * b + c;
#endif
}

// a * b + c, rounded once if the processor supports it.
UNROLL_INLINE f32x16 fused(f32x16 a, f32x16 b, f32x16 c) {
  return each_part<f32x16>([&](int p) { return fused_part(a.part[p], b.part[p], c.part[p]); });
}

// Some processors multiply activations with their offset of 128, so every sum is too large by 128
// times the sum of the weights (the caller subtracts this at the end). The others subtract the
// offset first.
#if defined(__AVX512VNNI__)
constexpr bool DOTS_ARE_OFFSET = true;
UNROLL_INLINE i32_part dot4_part(i32_part sums, i32_part activations, i8_part weights) {
  return same_bits<i32_part>(_mm512_dpbusd_epi32(
      same_bits<__m512i>(sums), same_bits<__m512i>(activations), same_bits<__m512i>(weights)));
}
#elif defined(__AVXVNNI__)
constexpr bool DOTS_ARE_OFFSET = true;
UNROLL_INLINE i32_part dot4_part(i32_part sums, i32_part activations, i8_part weights) {
  return same_bits<i32_part>(_mm256_dpbusd_avx_epi32(
      same_bits<__m256i>(sums), same_bits<__m256i>(activations), same_bits<__m256i>(weights)));
}
#elif defined(__ARM_FEATURE_DOTPROD)
constexpr bool DOTS_ARE_OFFSET = false;
UNROLL_INLINE i32_part dot4_part(i32_part sums, i32_part activations, i8_part weights) {
  const i32_part numbers = activations ^ int32_t(0x80808080u);
  return same_bits<i32_part>(vdotq_s32(
      same_bits<int32x4_t>(sums), same_bits<int8x16_t>(numbers), same_bits<int8x16_t>(weights)));
}
#elif defined(__AVX2__)
constexpr bool DOTS_ARE_OFFSET = false;
UNROLL_INLINE i32_part dot4_part(i32_part sums, i32_part activations, i8_part weights) {
  // |a| <= 127 and |w| <= 127, so that a pair of products fits 16 bits
  const __m256i a = same_bits<__m256i>(activations ^ int32_t(0x80808080u));
  const __m256i pairs = _mm256_maddubs_epi16(
      _mm256_abs_epi8(a), _mm256_sign_epi8(same_bits<__m256i>(weights), a));
  return sums + same_bits<i32_part>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#elif defined(__SSE2__)
constexpr bool DOTS_ARE_OFFSET = false;
typedef int16_t i16_part __attribute__((vector_size(REGISTER_BYTES)));
UNROLL_INLINE i32_part pair_sums(i16_part a, i16_part b) {
  return same_bits<i32_part>(_mm_madd_epi16(same_bits<__m128i>(a), same_bits<__m128i>(b)));
}
UNROLL_INLINE i32_part dot4_part(i32_part sums, i32_part activations, i8_part weights) {
  const i16_part a = same_bits<i16_part>(activations ^ int32_t(0x80808080u));
  const i16_part w = same_bits<i16_part>(weights);
  // the even and the odd bytes, each sign-extended to 16 bits
  return sums + pair_sums((a << 8) >> 8, (w << 8) >> 8) + pair_sums(a >> 8, w >> 8);
}
#else
constexpr bool DOTS_ARE_OFFSET = false;
UNROLL_INLINE i32_part dot4_part(i32_part sums, i32_part activations, i8_part weights) {
  const i32_part packed = same_bits<i32_part>(weights);
  for (int byte = 0; byte < 4; ++byte) {
    const int up = 24 - 8 * byte;  // sign-extend one byte of each lane
    const i32_part weight = (packed << up) >> 24;
    sums += weight * (((activations >> (8 * byte)) & 255) - 128);
  }
  return sums;
}
#endif

// Adds to each of 16 sums the products of its four weights with the same four activations, which
// are bytes offset by 128 and packed in one integer. See DOTS_ARE_OFFSET.
UNROLL_INLINE i32x16 dot4(i32x16 sums, i32x16 activations, i8x64 weights) {
  return each_part<i32x16>([&](int p) {
    return dot4_part(sums.part[p], activations.part[p], weights.part[p]);
  });
}

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
  i32_part all = mask.part[0];
  for (int p = 1; p < PARTS; ++p) all |= mask.part[p];
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask(same_bits<__m512i>(all), same_bits<__m512i>(all)) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256(same_bits<__m256i>(all), same_bits<__m256i>(all));
#else
  typedef int64_t i64_part __attribute__((vector_size(REGISTER_BYTES)));
  const i64_part pairs = same_bits<i64_part>(all);
  return (pairs[0] | pairs[1]) != 0;
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
