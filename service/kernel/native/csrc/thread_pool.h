// A pool of threads that process one phase after another. Each thread begins with its own pieces,
// which are the same ones in every phase, so that it finds its part of a matrix in its own cache;
// then it takes pieces that another thread has left.
//
// The calling thread starts a phase with a number of pieces, takes pieces itself, and returns once
// all are done. It never waits for a descheduled thread, unless that thread is within a piece. To
// work alone after such a wait gains nothing, even beside other busy processes: docs/experiments.
// The workers spin during a call, since the next phase follows within microseconds, and sleep
// between calls. Results must not depend on the assignment of pieces to threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "worker_threads.h"

class ThreadPool {
 public:
  typedef std::function<void(int piece, int thread)> Job;

  explicit ThreadPool(int size)
      : shares_(new Share[size]), workers_(size - 1, [this](int number) { work(number); }) {
    size_.store(1 + workers_.started(), std::memory_order_release);
  }

  ~ThreadPool() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    workers_.join();
  }

  // The calling thread and the workers.
  int size() const { return size_.load(std::memory_order_relaxed); }

  // The workers are active during the lifetime of this object.
  class Active {
   public:
    explicit Active(ThreadPool* pool) : pool_(pool) {
      if (pool_ != nullptr) pool_->begin();
    }
    ~Active() {
      if (pool_ != nullptr) pool_->finish();
    }
    Active(const Active&) = delete;

   private:
    ThreadPool* const pool_;
  };

  // Runs `job` once for each piece and returns when all are done.
  void parallel_for(int pieces, const Job& job) {
    if (pieces <= 1 || pieces > MOST_PIECES || !active_.load(std::memory_order_relaxed)) {
      for (int piece = 0; piece < pieces; ++piece) job(piece, 0);
      return;
    }
    const int threads = size();
    job_.store(&job, std::memory_order_relaxed);  // no thread reads it: no pieces are left
    done_.store(0, std::memory_order_relaxed);
    ++phase_;
    for (int thread = threads - 1; thread >= 0; --thread)
      shares_[thread].left.store(
          packed(phase_, pieces * thread / threads, pieces * (thread + 1) / threads),
          std::memory_order_release);
    run_pieces(0);
    wait_for(pieces);
  }

 private:
  static constexpr uint32_t SPINS = 2000;  // about 20 microseconds
  static constexpr int MOST_PIECES = 0xFFFF;

  // The pieces that are left of a thread's own ones: [begin, end), and the phase. The phase keeps a
  // thread that was descheduled while it took a piece from taking a piece of a later phase.
  struct alignas(128) Share {
    std::atomic<uint64_t> left{0};
  };

  static uint64_t packed(uint32_t phase, int begin, int end) {
    return uint64_t(phase) << 32 | uint32_t(begin) << 16 | uint32_t(end);
  }
  static int begin_of(uint64_t left) { return int(left >> 16 & 0xFFFF); }
  static int end_of(uint64_t left) { return int(left & 0xFFFF); }

  void wait_for(int pieces) {
    for (uint32_t spins = 0; done_.load(std::memory_order_acquire) < pieces; ++spins)
      spins < SPINS ? pause() : std::this_thread::yield();
  }

  void begin() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      active_.store(true, std::memory_order_release);
    }
    wake_.notify_all();
  }

  void finish() { active_.store(false, std::memory_order_relaxed); }

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // The first piece that a thread has left, or for another thread the last one; -1 if none is left.
  // A phase does not end before its taken pieces are done, so `job_` stays valid.
  static int take(Share& share, bool own) {
    uint64_t seen = share.left.load(std::memory_order_acquire);
    while (begin_of(seen) < end_of(seen)) {
      const uint64_t after = own ? seen + (1 << 16) : seen - 1;
      if (share.left.compare_exchange_weak(
              seen, after, std::memory_order_acq_rel, std::memory_order_acquire))
        return own ? begin_of(seen) : end_of(seen) - 1;
    }
    return -1;
  }

  // Takes and runs pieces until none is left. Returns whether there were any.
  bool run_pieces(int thread) {
    const int threads = size();
    int count = 0;
    for (int next = 0; next < threads; ++next) {
      const int owner = (thread + next) % threads;
      int piece;
      while ((piece = take(shares_[owner], next == 0)) >= 0) {
        (*job_.load(std::memory_order_relaxed))(piece, thread);
        ++count;
      }
    }
    if (count > 0) done_.fetch_add(count, std::memory_order_release);
    return count > 0;
  }

  void work(int number) {
    uint32_t spins = 0;
    while (wait_until_active()) {
      if (run_pieces(number)) {
        spins = 0;
      } else {
        ++spins < SPINS ? pause() : std::this_thread::yield();
      }
    }
  }

  // False when the pool ends.
  bool wait_until_active() {
    if (active_.load(std::memory_order_acquire)) return true;
    std::unique_lock<std::mutex> hold(mutex_);
    wake_.wait(hold, [&] { return ending_ || active_.load(std::memory_order_relaxed); });
    return !ending_;
  }

  const std::unique_ptr<Share[]> shares_;
  std::atomic<int> size_{1};
  alignas(128) std::atomic<int> done_{0};
  alignas(128) std::atomic<const Job*> job_{nullptr};
  std::atomic<bool> active_{false};
  uint32_t phase_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  WorkerThreads workers_;  // last, since the threads use the members above
};
