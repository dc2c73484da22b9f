// The C interface that native_library.py calls. Chooses the instruction set; catches everything.
#include <cstring>

#include "encoder.h"
#include "language_model.h"

namespace {

bool supports(const char* name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (std::strcmp(name, "avx512") == 0)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
  if (std::strcmp(name, "avx2") == 0)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return std::strcmp(name, "plain") == 0;
}

}  // namespace

const Steps* choose_steps(const char* wanted) {
  static const Steps* const known[] = {
#if defined(__x86_64__)
      &STEPS_AVX512,
      &STEPS_AVX2,
#endif
      &STEPS_PLAIN,
  };
  for (const Steps* steps : known) {
    const bool meant = wanted[0] == 0 || std::strcmp(wanted, steps->name) == 0;
    if (meant && supports(steps->name)) return steps;
  }
  return nullptr;
}

#pragma GCC visibility push(default)
extern "C" {

// The version of this interface: the two sides refuse each other when it differs.
int unroll_interface() { return 5; }

// The name of the instruction set that is used, null when `wanted` cannot be had.
const char* unroll_instruction_set(const char* wanted) {
  const Steps* steps = choose_steps(wanted);
  return steps == nullptr ? nullptr : steps->name;
}

// Null without memory.
void* unroll_create(const Description* description, int threads, const char* wanted) {
  const Steps* steps = choose_steps(wanted);
  if (steps == nullptr) return nullptr;
  try {
    return new LanguageModel(*description, threads, *steps);
  } catch (...) {
    return nullptr;
  }
}

void unroll_destroy(void* model) { delete static_cast<LanguageModel*>(model); }

// 0, 2 without memory.
int unroll_run(void* model, const Call* call) {
  try {
    static_cast<LanguageModel*>(model)->run(*call);
    return 0;
  } catch (...) {
    return 2;
  }
}

// Of (layers, width) numbers each; `cells` may be null where the cell has no such state.
void unroll_save(const void* model, int row, float* hiddens, float* cells) {
  static_cast<const LanguageModel*>(model)->save(row, hiddens, cells);
}

void unroll_restore(void* model, int row, const float* hiddens, const float* cells) {
  static_cast<LanguageModel*>(model)->restore(row, hiddens, cells);
}

void unroll_interrupt(void* model) { static_cast<LanguageModel*>(model)->interrupt(); }

// 0, 2 without memory.
int unroll_encode(const Stretch* stretch, const char* wanted) {
  const Steps* steps = choose_steps(wanted);
  if (steps == nullptr) return 2;
  try {
    encode(*stretch, *steps);
    return 0;
  } catch (...) {
    return 2;
  }
}

}  // extern "C"
#pragma GCC visibility pop
