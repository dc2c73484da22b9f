// Threads in addition to the caller's: as many of those wanted as the system provides.
//
// The system may run out of threads at any moment, and destroying a std::thread before it is joined
// ends the process. The work must not throw.
#pragma once

#include <thread>
#include <vector>

#include "denormals.h"

class WorkerThreads {
 public:
  // Runs `work(number)` in each thread, with numbers from 1.
  template <class Work>
  WorkerThreads(int wanted, Work work) {
    threads_.reserve(wanted > 0 ? wanted : 0);
    try {
      for (int number = 1; number <= wanted; ++number)
        threads_.emplace_back([work, number] {
          const FlushDenormals flush;
          work(number);
        });
    } catch (...) {  // no thread or memory: continue with those that started
    }
  }

  ~WorkerThreads() { join(); }

  int started() const { return int(threads_.size()); }

  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::vector<std::thread> threads_;
};
