// Helpers sleep on a condition variable, take chunks of the posted job from a shared counter, and go back to sleep.
#include "thread_pool.h"

#include <algorithm>
#include <system_error>
#include <thread>

namespace turnwise::cpu {

namespace {
constexpr size_t kDefaultThreads = 8;
}  // namespace

ThreadPool& ThreadPool::instance() {
  static auto* pool = new ThreadPool;
  return *pool;
}

ThreadPool::ThreadPool() : threads_(std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kDefaultThreads)) {}

void ThreadPool::setThreads(size_t count) {
  threads_.store(std::max<size_t>(count, 1), std::memory_order_relaxed);
}

void ThreadPool::Job::work() {
  for (;;) {
    const size_t begin = next.fetch_add(grain, std::memory_order_relaxed);
    if (begin >= items) return;
    const size_t end = std::min(items, begin + grain);
    for (size_t item = begin; item < end; ++item) {
      if (context.aborted()) {
        stopped.store(true, std::memory_order_relaxed);
        return;
      }
      invoke(body, item);
    }
  }
}

void ThreadPool::run(Job& job) {
  const size_t chunks = (job.items + job.grain - 1) / job.grain;
  const size_t wanted = std::min(threads(), chunks);
  std::unique_lock<std::mutex> owner(running_, std::defer_lock);
  if (wanted <= 1 || !owner.try_lock()) {
    job.work();
    return;
  }
  startHelpers(wanted - 1);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    job_ = &job;
    limit_ = wanted - 1;
    ++generation_;
  }
  posted_.notify_all();
  job.work();
  // Nothing is left to take. Helpers that wake up only now find no job; those inside finish what they took.
  std::unique_lock<std::mutex> lock(mutex_);
  job_ = nullptr;
  left_.wait(lock, [this] { return active_ == 0; });
}

void ThreadPool::startHelpers(size_t count) {
  std::lock_guard<std::mutex> lock(mutex_);
  while (helpers_ < count) {
    try {
      std::thread(&ThreadPool::helperLoop, this, helpers_).detach();
    } catch (const std::system_error&) {
      return;  // no more threads to be had: the job runs on those that are there
    }
    ++helpers_;
  }
}

void ThreadPool::helperLoop(size_t index) {
  uint64_t seen = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    posted_.wait(lock, [&] { return generation_ != seen; });
    seen = generation_;
    if (!job_ || index >= limit_) continue;
    Job& job = *job_;
    ++active_;
    lock.unlock();
    job.work();
    lock.lock();
    if (--active_ == 0) left_.notify_all();
  }
}

}  // namespace turnwise::cpu
