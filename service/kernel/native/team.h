// A few threads that do one thing together: one call wakes them, barriers keep them in step.
//
// The caller is one of them (number 0). At a barrier a thread spins for a moment, since the others
// are microseconds away, and then lets others have the processor. Between calls the threads sleep,
// after a short look whether the next call comes at once. Knows nothing of what they do.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

class Team {
 public:
  explicit Team(int size) : size_(size) {
    for (int number = 1; number < size; ++number)
      threads_.emplace_back([this, number] { work(number); });
  }

  ~Team() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  int size() const { return size_; }

  // Runs job(number) in every thread and returns when all have returned.
  void run(const std::function<void(int)>& job) {
    if (size_ > 1) {
      {
        const std::lock_guard<std::mutex> hold(mutex_);
        job_ = &job;
        ++calls_;
      }
      wake_.notify_all();
    }
    job(0);
    barrier();
  }

  // Returns when every thread of the team has called it.
  void barrier() {
    if (size_ == 1) return;
    const uint32_t round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins)
      spins < SPINS ? pause() : std::this_thread::yield();
  }

 private:
  static constexpr int SPINS = 2000;  // about 20 microseconds

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  void work(int number) {
    for (uint64_t done = 0;; ++done) {
      const std::function<void(int)>* job = next(done);
      if (job == nullptr) return;
      (*job)(number);
      barrier();
    }
  }

  // The job of the call after `done` calls; null when the team ends.
  const std::function<void(int)>* next(uint64_t done) {
    std::unique_lock<std::mutex> hold(mutex_);
    wake_.wait(hold, [&] { return ending_ || calls_ > done; });
    return calls_ > done ? job_ : nullptr;
  }

  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<uint32_t> round_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  const std::function<void(int)>* job_ = nullptr;
  uint64_t calls_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};
