// A few threads that work off one phase after another: each takes the next piece that is left.
//
// The caller leads: it states a phase of so many pieces, takes pieces itself, and goes on when all
// are done. Nobody waits for a thread that the system has put aside, unless it is in the middle of
// a piece; so a step costs little more when others want the processors, too. Helpers spin while a
// call is under way, since the next phase is microseconds off, and sleep between calls. Which
// thread works on which piece must not matter for the result. Knows nothing of what is done.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "helpers.h"

class Team {
 public:
  typedef std::function<void(int piece, int thread)> Job;

  explicit Team(int size) : helpers_(size - 1, [this](int number) { help(number); }) {}

  ~Team() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    helpers_.join();
  }

  // The caller and its helpers.
  int size() const { return 1 + helpers_.started(); }

  // Helpers are awake while one of these lives.
  class Awake {
   public:
    explicit Awake(Team* team) : team_(team) {
      if (team_ != nullptr) team_->begin();
    }
    ~Awake() {
      if (team_ != nullptr) team_->finish();
    }
    Awake(const Awake&) = delete;

   private:
    Team* const team_;
  };

  // Does all pieces of one phase and returns when every one is done.
  void share(int pieces, const Job& job) {
    job_ = &job;  // nobody looks: of the phase before nothing is left to take
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
      awake_.store(true, std::memory_order_relaxed);
    }
    wake_.notify_all();
  }

  void finish() { awake_.store(false, std::memory_order_relaxed); }

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // A piece that is left, of whichever phase it is, or -1. Who has taken one keeps its phase from
  // ending, so that `job_` stays what it is.
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

  void help(int number) {
    uint32_t spins = 0;
    while (wait_until_awake()) {
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

  // False when the team ends.
  bool wait_until_awake() {
    if (awake_.load(std::memory_order_relaxed)) return true;
    std::unique_lock<std::mutex> hold(mutex_);
    wake_.wait(hold, [&] { return ending_ || awake_.load(std::memory_order_relaxed); });
    return !ending_;
  }

  // Phase in the upper half, pieces left in the lower: the phase, so that a thread that was put aside
  // in the middle of take() cannot mistake a later phase for the one it saw.
  std::atomic<uint64_t> left_{0};
  std::atomic<int> done_{0};
  std::atomic<const Job*> job_{nullptr};
  std::atomic<bool> awake_{false};
  uint32_t phase_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  Helpers helpers_;  // last: they use all that stands above
};
