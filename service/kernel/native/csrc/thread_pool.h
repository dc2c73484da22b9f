// A pool of threads that process one phase after another: each thread takes the next piece that is
// left.
//
// The calling thread starts a phase with a number of pieces, takes pieces itself, and returns once
// all are done. It never waits for a descheduled thread, unless that thread is within a piece, so a
// step is hardly slower when other processes use the processors. The workers spin during a call,
// since the next phase follows within microseconds, and sleep between calls. Results must not
// depend on the assignment of pieces to threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "worker_threads.h"

class ThreadPool {
 public:
  typedef std::function<void(int piece, int thread)> Job;

  explicit ThreadPool(int size) : workers_(size - 1, [this](int number) { work(number); }) {}

  ~ThreadPool() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    workers_.join();
  }

  // The calling thread and the workers.
  int size() const { return 1 + workers_.started(); }

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
    job_ = &job;  // no thread reads it: the last phase has no pieces left
    done_.store(0, std::memory_order_relaxed);
    ++phase_;
    left_.store(uint64_t(phase_) << 32 | uint32_t(pieces), std::memory_order_release);
    int piece;
    while ((piece = take()) >= 0) {
      job(piece, 0);
      done_.fetch_add(1, std::memory_order_release);
    }
    for (int spins = 0; done_.load(std::memory_order_acquire) < pieces; ++spins)
      spins < SPINS ? pause() : std::this_thread::yield();
  }

 private:
  static constexpr int SPINS = 2000;  // about 20 microseconds

  void begin() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      active_.store(true, std::memory_order_relaxed);
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

  // The next piece of the current phase, or -1. A phase does not end before its taken pieces are
  // done, so `job_` stays valid.
  int take() {
    uint64_t seen = left_.load(std::memory_order_acquire);
    while (uint32_t(seen) > 0) {
      if (left_.compare_exchange_weak(
              seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
        return int(uint32_t(seen)) - 1;
      }
    }
    return -1;
  }

  void work(int number) {
    uint32_t spins = 0;
    while (wait_until_active()) {
      const int piece = take();
      if (piece >= 0) {
        (*job_.load(std::memory_order_relaxed))(piece, number);
        done_.fetch_add(1, std::memory_order_release);
        spins = 0;
      } else {
        ++spins < SPINS ? pause() : std::this_thread::yield();
      }
    }
  }

  // False when the pool ends.
  bool wait_until_active() {
    if (active_.load(std::memory_order_relaxed)) return true;
    std::unique_lock<std::mutex> hold(mutex_);
    wake_.wait(hold, [&] { return ending_ || active_.load(std::memory_order_relaxed); });
    return !ending_;
  }

  // The phase in the upper half, the pieces left in the lower one. The phase keeps a thread that
  // was descheduled within take() from taking a later phase for the one it saw.
  std::atomic<uint64_t> left_{0};
  std::atomic<int> done_{0};
  std::atomic<const Job*> job_{nullptr};
  std::atomic<bool> active_{false};
  uint32_t phase_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  WorkerThreads workers_;  // last, since the threads use the members above
};
