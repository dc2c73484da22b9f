// What a processor can do at most, in the two currencies that a step of a recurrent network is paid
// in: multiply-adds on registers, and bytes read from arrays of given sizes.
//
//     limits THREADS SECONDS BYTES...
//
// Prints JSON. Of several rounds the best one counts, since a limit is what is possible. Knows no
// networks. Where the processor has no such instructions the figure is 0.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__AMX_INT8__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

constexpr int kRounds = 25;  // short ones: on a busy machine some run undisturbed
constexpr int kChains = 12;  // independent sums: more than latency times width, within 16 registers
constexpr int kInner = 4096;

double now() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

#if defined(__AVX512VNNI__)
#define INT8_NAME "avx512 vpdpbusd"
constexpr double kInt8Operations = 64;
using Int8 = __m512i;
inline Int8 int8_of(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
inline Int8 int8_multiply_add(Int8 sum, Int8 a, Int8 b) { return _mm512_dpbusd_epi32(sum, a, b); }
#elif defined(__AVXVNNI__)
#define INT8_NAME "avx vpdpbusd"
constexpr double kInt8Operations = 32;
using Int8 = __m256i;
inline Int8 int8_of(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
inline Int8 int8_multiply_add(Int8 sum, Int8 a, Int8 b) {
    return _mm256_dpbusd_avx_epi32(sum, a, b);
}
#elif defined(__AVX2__)
#define INT8_NAME "avx2 vpmaddubsw"
constexpr double kInt8Operations = 32;
using Int8 = __m256i;
inline Int8 int8_of(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
inline Int8 int8_multiply_add(Int8 sum, Int8 a, Int8 b) {
    const Int8 pairs = _mm256_maddubs_epi16(a, b);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
#endif

#if defined(__AVX512F__)
#define FLOAT_NAME "avx512 vfmadd"
constexpr double kFloatOperations = 16;
using Float = __m512;
inline Float float_of(float value) { return _mm512_set1_ps(value); }
inline Float float_multiply_add(Float sum, Float a, Float b) { return _mm512_fmadd_ps(a, b, sum); }
#elif defined(__AVX2__) && defined(__FMA__)
#define FLOAT_NAME "avx2 vfmadd"
constexpr double kFloatOperations = 8;
using Float = __m256;
inline Float float_of(float value) { return _mm256_set1_ps(value); }
inline Float float_multiply_add(Float sum, Float a, Float b) { return _mm256_fmadd_ps(a, b, sum); }
#endif

// A value that the compiler may assume nothing about, in a register.
template <typename Vector>
inline void opaque(Vector& value) {
    asm volatile("" : "+v"(value));
}

#if defined(INT8_NAME)
double int8_chunk() {
    Int8 sums[kChains], a = int8_of(3), b = int8_of(5);
    for (auto& sum : sums) sum = int8_of(0);
    for (int i = 0; i < kInner; ++i) {
        opaque(a);
        opaque(b);
#pragma GCC unroll 12
        for (int chain = 0; chain < kChains; ++chain) {
            sums[chain] = int8_multiply_add(sums[chain], a, b);
        }
    }
    for (auto& sum : sums) opaque(sum);
    return kInt8Operations * kChains * kInner;
}
#endif

#if defined(__AMX_INT8__) && defined(__linux__)
#define TILE_NAME "amx tdpbusd"
bool may_use_tiles() {
    constexpr int kRequestPermission = 0x1023, kTileData = 18;
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// 16 x 16 sums of 64 products for each instruction, of four that do not wait for one another.
double tile_chunk() {
    struct alignas(64) {
        uint8_t palette = 1, start = 0, reserved[14] = {};
        uint16_t line_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t lines[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shapes;
    asm volatile("" ::: "memory");
    _tile_loadconfig(&shapes);
    for (int i = 0; i < kInner; ++i) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_release();
    return 4.0 * 16 * 16 * 64 * kInner;
}
#endif

#if defined(FLOAT_NAME)
double float_chunk() {
    Float sums[kChains], a = float_of(1e-3f), b = float_of(1e-3f);
    for (auto& sum : sums) sum = float_of(0);
    for (int i = 0; i < kInner; ++i) {
        opaque(a);
        opaque(b);
#pragma GCC unroll 12
        for (int chain = 0; chain < kChains; ++chain) {
            sums[chain] = float_multiply_add(sums[chain], a, b);
        }
    }
    for (auto& sum : sums) opaque(sum);
    return kFloatOperations * kChains * kInner;
}
#endif

// Reads all of an array, with loads as wide as the compiler has them, and returns its bytes.
double read_chunk(const unsigned char* array, size_t bytes) {
#if defined(__AVX512F__)
    __m512i sums[8];
    for (auto& sum : sums) sum = _mm512_setzero_si512();
    for (size_t i = 0; i + 512 <= bytes; i += 512) {
#pragma GCC unroll 8
        for (int lane = 0; lane < 8; ++lane) {
            sums[lane] = _mm512_xor_si512(sums[lane], _mm512_load_si512(array + i + 64 * lane));
        }
    }
    for (auto& sum : sums) opaque(sum);
    return static_cast<double>(bytes / 512 * 512);
#else
    uint64_t sums[32] = {};
    for (size_t i = 0; i + sizeof sums <= bytes; i += sizeof sums) {
        uint64_t words[32];
        std::memcpy(words, array + i, sizeof words);
        for (int lane = 0; lane < 32; ++lane) sums[lane] ^= words[lane];
    }
    asm volatile("" : : "r"(sums) : "memory");
    return static_cast<double>(bytes / sizeof sums * sizeof sums);
#endif
}

// Work per second of all threads together, each calling chunk(thread) for so long; best of rounds.
double measured(int threads, double seconds, const std::function<double(int)>& chunk) {
    double best = 0;
    for (int round = 0; round < kRounds; ++round) {
        std::vector<double> done(threads, 0.0);
        std::atomic<int> waiting{threads};
        auto work = [&](int thread) {
            // All begin together: a sum of what was done at different times would be no limit.
            for (--waiting; waiting > 0;) std::this_thread::yield();
            const double begin = now();
            double amount = 0, last = begin;
            do {
                amount += chunk(thread);
                last = now();
            } while (last < begin + seconds / kRounds);
            done[thread] = amount / (last - begin);
        };
        std::vector<std::thread> others;
        for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
        work(0);
        for (auto& other : others) other.join();
        double sum = 0;
        for (double rate : done) sum += rate;
        best = std::max(best, sum);
    }
    return best;
}

// The array is cut into as many parts as there are threads, as weights would be.
double read_per_second(int threads, double seconds, size_t bytes) {
    const size_t part = std::max<size_t>(bytes / threads / 64 * 64, 4096);
    auto release = [](unsigned char* pointer) { std::free(pointer); };
    std::unique_ptr<unsigned char, decltype(release)> array(
        static_cast<unsigned char*>(std::aligned_alloc(64, part * threads)), release);
    if (!array) return 0;
    std::memset(array.get(), 1, part * threads);
    return measured(threads, seconds,
                    [&](int thread) { return read_chunk(array.get() + part * thread, part); });
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3) {
        std::fprintf(stderr, "usage: limits THREADS SECONDS BYTES...\n");
        return 2;
    }
    const int threads = std::max(1, std::atoi(arguments[1]));
    const double seconds = std::atof(arguments[2]);
    const char* name = "none";
    double int8 = 0, float32 = 0;
#if defined(INT8_NAME)
    name = INT8_NAME;
    int8 = measured(threads, seconds, [](int) { return int8_chunk(); });
#endif
#if defined(TILE_NAME)
    if (may_use_tiles()) {
        name = TILE_NAME;
        int8 = measured(threads, seconds, [](int) { return tile_chunk(); });
    }
#endif
#if defined(FLOAT_NAME)
    float32 = measured(threads, seconds, [](int) { return float_chunk(); });
#endif
    std::printf("{\"instruction\": \"%s\", \"threads\": %d, \"int8\": %.6g, \"float32\": %.6g",
                name, threads, int8, float32);
    std::printf(", \"reads\": {");
    for (int i = 3; i < count; ++i) {
        const size_t bytes = std::strtoull(arguments[i], nullptr, 10);
        std::printf("%s\"%zu\": %.6g", i > 3 ? ", " : "", bytes,
                    read_per_second(threads, seconds, bytes));
    }
    std::printf("}}\n");
    return 0;
}
