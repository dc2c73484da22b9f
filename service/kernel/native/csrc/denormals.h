// Numbers below 1.2e-38 are zero in the kernel's threads.
//
// The states of a silent network decay to such numbers, and many processors compute with them a
// hundred times as slowly.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

// Flushes denormal inputs and results of the current thread to zero during its lifetime, and then
// restores the mode of the thread, which belongs to Python.
class FlushDenormals {
 public:
  FlushDenormals() : before_(mode()) { set_mode(before_ | FLUSH); }
  ~FlushDenormals() { set_mode(before_); }
  FlushDenormals(const FlushDenormals&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr uint64_t FLUSH = 0x8040;  // results, inputs
  static uint64_t mode() { return _mm_getcsr(); }
  static void set_mode(uint64_t mode) { _mm_setcsr(uint32_t(mode)); }
#elif defined(__aarch64__)
  static constexpr uint64_t FLUSH = uint64_t(1) << 24;  // both
  static uint64_t mode() {
    uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void set_mode(uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr uint64_t FLUSH = 0;
  static uint64_t mode() { return 0; }
  static void set_mode(uint64_t) {}
#endif

  const uint64_t before_;
};
