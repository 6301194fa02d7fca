// Asynchronous ops of one JavaScript environment: one at a time, in order, each on a thread of its own.
//
// Not on libuv's pool: Node waits for a pool job before it lets a worker terminate or the process exit, and tells the
// add-on only afterwards, so an abort could never reach it; and with UV_THREADPOOL_SIZE=1 the file system would wait as
// well. The op itself spreads over the library's thread pool (native/cpu), so this thread is one more that mostly
// coordinates.
#pragma once
#include <node_api.h>

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "../backend.h"
#include "held_buffers.h"

namespace turnwise::binding {

/// How a call ended: a status, or (never expected) an exception that an op let out.
struct Outcome {
  Status status;
  std::string unexpected;
};

class Job {
 public:
  virtual ~Job() = default;
  /// Runs the op; lets no exception out.
  virtual Outcome run(Context& context) = 0;

  HeldBuffers buffers;
  /// The caller's flag, in memory that `buffers` holds.
  std::atomic<int32_t>* abort = nullptr;
  Outcome outcome;
  napi_deferred deferred = nullptr;
};

class JobQueue {
 public:
  explicit JobQueue(napi_env env) : env_(env) {}
  JobQueue(const JobQueue&) = delete;
  JobQueue& operator=(const JobQueue&) = delete;

  /// The promise of the job's status, or null with an exception pending. A job whose flag is up before its turn never
  /// runs.
  napi_value submit(std::unique_ptr<Job> job);

 private:
  static void onFinished(napi_env env, napi_value, void* queue, void*);
  static void onTeardown(void* queue);

  bool open();
  void startNext();
  bool start(std::unique_ptr<Job> job);
  void settle(Job& job);

  napi_env env_;
  /// Wakes the JavaScript thread when a job is done; keeps the process alive only while there are jobs.
  napi_threadsafe_function wake_ = nullptr;
  bool closing_ = false;
  std::deque<std::unique_ptr<Job>> waiting_;
  std::unique_ptr<Job> running_;
  std::thread thread_;
};

}  // namespace turnwise::binding
