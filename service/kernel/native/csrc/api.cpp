// The C interface that library.py calls. Selects the instruction set and catches all exceptions.
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "classifier.h"
#include "language_model.h"

namespace {

#if defined(__x86_64__)
// Linux gives the registers of AMX to a process that asks for them, for all its threads.
bool request_tiles() {
#if defined(__linux__)
  constexpr int REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;
  unsigned a, b, c, d;
  const bool is_listed =
      __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1) && (d >> 25 & 1);
  return is_listed && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return false;
#endif
}

bool is_listed_as_avxvnni() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

// Asks the processor once: the question takes microseconds in a virtual machine.
bool supports(const char* name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (std::strcmp(name, "avxvnni") == 0) {  // compilers know it by different names
    static const bool has_avxvnni = is_listed_as_avxvnni();
    return has_avxvnni && supports("avx2");
  }
  if (std::strcmp(name, "amx") == 0) {
    static const bool has_tiles = request_tiles();
    return has_tiles && supports("avx512");
  }
  if (std::strcmp(name, "avx512") == 0)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
  if (std::strcmp(name, "avx2") == 0)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#elif defined(__aarch64__) && defined(__linux__)
  if (std::strcmp(name, "dotprod") == 0) return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__aarch64__) && defined(__APPLE__)
  if (std::strcmp(name, "dotprod") == 0) return true;  // all of Apple's have it
#endif
  return std::strcmp(name, "plain") == 0;
}

}  // namespace

const Steps* choose_steps(const char* wanted) {
  static const Steps* const known[] = {
#if defined(UNROLL_HAS_AMX)
      &STEPS_AMX,
#endif
#if defined(UNROLL_HAS_AVX512)
      &STEPS_AVX512,
#endif
#if defined(UNROLL_HAS_AVXVNNI)
      &STEPS_AVXVNNI,
#endif
#if defined(UNROLL_HAS_AVX2)
      &STEPS_AVX2,
#endif
#if defined(UNROLL_HAS_DOTPROD)
      &STEPS_DOTPROD,
#endif
      &STEPS_PLAIN,
  };
  for (const Steps* steps : known) {
    const bool is_wanted = wanted[0] == 0 || std::strcmp(wanted, steps->name) == 0;
    if (is_wanted && supports(steps->name)) return steps;
  }
  return nullptr;
}

#pragma GCC visibility push(default)
extern "C" {

// The version of this interface. Python refuses a library with another version.
int unroll_interface() { return 11; }

// The name of the selected instruction set; null if `wanted` is not available.
const char* unroll_instruction_set(const char* wanted) {
  const Steps* steps = choose_steps(wanted);
  return steps == nullptr ? nullptr : steps->name;
}

// Null if memory cannot be allocated.
void* unroll_create(const ModelDescription* description, int threads, const char* wanted) {
  const Steps* steps = choose_steps(wanted);
  if (steps == nullptr) return nullptr;
  try {
    return new LanguageModel(*description, threads, *steps);
  } catch (...) {
    return nullptr;
  }
}

void unroll_destroy(void* model) { delete static_cast<LanguageModel*>(model); }

// Returns 0, or 2 if memory cannot be allocated.
int unroll_run(void* model, const Call* call) {
  try {
    static_cast<LanguageModel*>(model)->run(*call);
    return 0;
  } catch (...) {
    return 2;
  }
}

// `hiddens` and `cells` have (layers, width) numbers each. `cells` may be null.
void unroll_save(const void* model, int row, float* hiddens, float* cells) {
  static_cast<const LanguageModel*>(model)->save(row, hiddens, cells);
}

void unroll_restore(void* model, int row, const float* hiddens, const float* cells) {
  static_cast<LanguageModel*>(model)->restore(row, hiddens, cells);
}

void unroll_interrupt(void* model) { static_cast<LanguageModel*>(model)->interrupt(); }

// A batch of documents for `classifier`; see classifier.h. Null if memory cannot be allocated.
void* unroll_create_batch(
    const ClassifierDescription* classifier, const int32_t* tokens, const int32_t* lengths,
    int rows, int threads, float* logits, float* features, const char* wanted) {
  const Steps* steps = choose_steps(wanted);
  if (steps == nullptr) return nullptr;
  try {
    return new DocumentBatch(
        *classifier, *steps, tokens, lengths, rows, threads, logits, features);
  } catch (...) {
    return nullptr;
  }
}

void unroll_destroy_batch(void* batch) { delete static_cast<DocumentBatch*>(batch); }

// Returns 1 if the logits are complete, 0 if not yet, or 2 if memory cannot be allocated.
int unroll_run_batch(void* batch, int64_t row_steps) {
  try {
    return static_cast<DocumentBatch*>(batch)->run(row_steps) ? 1 : 0;
  } catch (...) {
    return 2;
  }
}

}  // extern "C"
#pragma GCC visibility pop
