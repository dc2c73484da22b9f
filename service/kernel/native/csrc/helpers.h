// Threads beside the caller's: as many of those wanted as the system gives.
//
// A machine may be out of threads at any moment, and a std::thread that is destroyed before it is
// joined ends the process. The work must not throw.
#pragma once

#include <thread>
#include <vector>

class Helpers {
 public:
  // `work(number)` for numbers from 1 on.
  template <class Work>
  Helpers(int wanted, Work work) {
    threads_.reserve(wanted > 0 ? wanted : 0);
    try {
      for (int number = 1; number <= wanted; ++number)
        threads_.emplace_back([work, number] { work(number); });
    } catch (...) {  // no thread or no memory for one: those that were started are enough
    }
  }

  ~Helpers() { join(); }

  int started() const { return int(threads_.size()); }

  void join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::vector<std::thread> threads_;
};
