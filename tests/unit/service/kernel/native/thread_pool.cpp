// Checks the thread pool. Returns the number of failed checks.
#include "thread_pool.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

int failures = 0;

void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("failed: %s\n", what);
  ++failures;
}

// Every piece of every phase runs once, and what a phase wrote is visible in the next one. The sums
// are not atomic, so that a thread sanitizer finds a phase that begins too early.
void each_piece_runs_once(int threads) {
  ThreadPool pool(threads);
  check(pool.size() == threads, "the pool has the threads that were wanted");
  std::vector<long> sums(100, 0);
  for (int call = 0; call < 20; ++call) {
    const ThreadPool::Active awake(&pool);
    for (int phase = 0; phase < 100; ++phase) {
      const int pieces = 1 + (call * 100 + phase) % int(sums.size());
      pool.parallel_for(pieces, [&](int piece, int) {
        sums[piece] = (sums[piece] + 1) * 3 % 1000003;
      });
    }
  }
  std::vector<long> expected(sums.size(), 0);
  for (int phase = 0; phase < 2000; ++phase)
    for (int piece = 0; piece <= phase % int(sums.size()); ++piece)
      expected[piece] = (expected[piece] + 1) * 3 % 1000003;
  check(sums == expected, "each piece runs once a phase");
}

// The workers sleep between calls: without them the calling thread does all pieces.
void caller_needs_no_worker() {
  ThreadPool pool(3);
  std::vector<int> by(50, -1);
  pool.parallel_for(50, [&](int piece, int thread) { by[piece] = thread; });
  check(by == std::vector<int>(50, 0), "the calling thread takes the pieces of sleeping workers");
}

// A worker begins with its own pieces: the second half. It may begin with another one if it looks for
// pieces at the moment at which a phase begins, so this holds for most of the phases.
void worker_takes_its_own_pieces() {
  ThreadPool pool(2);
  const ThreadPool::Active awake(&pool);
  int shared = 0, begun_with_own = 0;
  for (int attempt = 0; attempt < 50 || (attempt < 1000 && shared == 0); ++attempt) {
    std::atomic<int> done{0};
    int first_of_worker = -1;
    pool.parallel_for(8, [&](int piece, int thread) {
      if (thread == 1 && first_of_worker < 0) first_of_worker = piece;
      std::this_thread::sleep_for(std::chrono::microseconds(thread == 1 ? 400 : 200));
      ++done;
    });
    check(done == 8, "a phase ends when all its pieces are done");
    if (first_of_worker >= 0) ++shared;
    if (first_of_worker == 4) ++begun_with_own;
  }
  check(shared > 0, "a worker takes pieces");
  check(2 * begun_with_own > shared, "a worker begins with its own pieces");
}

// A worker that is descheduled within a piece delays the end of the phase, and it takes pieces of the
// next phases again.
void slow_worker_takes_part_again() {
  ThreadPool pool(2);
  const ThreadPool::Active awake(&pool);
  std::atomic<int> slow{0}, later{0};
  for (int phase = 0; phase < 100000 && later == 0; ++phase) {
    std::atomic<int> done{0};
    pool.parallel_for(2, [&](int, int thread) {
      if (thread == 1 && slow.fetch_add(1) == 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      else if (thread == 1)
        ++later;
      else
        std::this_thread::sleep_for(std::chrono::microseconds(50));  // time for the worker to come
      ++done;
    });
    check(done == 2, "a phase ends when the piece of a slow worker is done");
  }
  check(later > 0, "a worker that was slow takes pieces again");
}

}  // namespace

int main() {
  for (const int threads : {1, 2, 3, 5}) each_piece_runs_once(threads);
  caller_needs_no_worker();
  worker_takes_its_own_pieces();
  slow_worker_takes_part_again();
  return failures;
}
