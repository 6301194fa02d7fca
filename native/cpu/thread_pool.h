// The library's own threads, shared by every caller in the process.
//
// The caller of parallelFor works too, so a pool of one thread is the caller alone and no thread is ever waited for
// that has not begun. A second caller does not queue: while the pool is busy it does its work itself, and so nothing
// can deadlock.
#pragma once
#include <condition_variable>
#include <mutex>

#include "../backend.h"

namespace turnwise::cpu {

class ThreadPool {
 public:
  /// The one pool. Never destroyed: at exit its threads may be waiting, or working.
  static ThreadPool& instance();

  /// Threads a job may use, its caller included. By default min(hardware threads, 8): rows are bound by memory.
  size_t threads() const { return threads_.load(std::memory_order_relaxed); }
  /// From the next job on; at least 1. Results do not depend on it.
  void setThreads(size_t count);

  /// body(item) once for each item of [0, items), in any order on any thread, `grain` items at a time. The abort flag
  /// is looked at before each item; returns whether all items were done.
  template <class Body>
  bool parallelFor(size_t items, size_t grain, const Context& context, Body&& body) {
    Job job(
        items, grain, context, [](void* b, size_t item) { (*static_cast<std::remove_reference_t<Body>*>(b))(item); },
        &body);
    run(job);
    return !job.stopped.load(std::memory_order_relaxed);
  }

 private:
  struct Job {
    Job(size_t itemCount, size_t grainSize, const Context& callContext, void (*call)(void*, size_t), void* closure)
        : items(itemCount), grain(grainSize ? grainSize : 1), context(callContext), invoke(call), body(closure) {}
    void work();

    const size_t items, grain;
    const Context& context;
    void (*const invoke)(void*, size_t);
    void* const body;
    std::atomic<size_t> next{0};
    std::atomic<bool> stopped{false};
  };

  ThreadPool();
  void run(Job& job);
  void startHelpers(size_t count);
  void helperLoop(size_t index);

  std::atomic<size_t> threads_;
  std::mutex running_;  // held by the caller whose job the helpers have

  std::mutex mutex_;  // guards what follows
  std::condition_variable posted_, left_;
  Job* job_ = nullptr;
  uint64_t generation_ = 0;
  size_t limit_ = 0;    // helpers that may join the job
  size_t active_ = 0;   // helpers inside it
  size_t helpers_ = 0;  // threads started
};

}  // namespace turnwise::cpu
