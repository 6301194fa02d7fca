#include "jobs.h"

#include <exception>

#include "values.h"

namespace turnwise::binding {

namespace {

bool isAborted(const Job& job) {
  return job.abort->load(std::memory_order_relaxed) != 0;
}

}  // namespace

napi_value JobQueue::submit(std::unique_ptr<Job> job) {
  napi_value promise = nullptr;
  if (!open() || napi_create_promise(env_, &job->deferred, &promise) != napi_ok) {
    job->buffers.release(env_);
    napi_throw_error(env_, nullptr, "the environment is shutting down");
    return nullptr;
  }
  const bool idle = !running_ && waiting_.empty();
  waiting_.push_back(std::move(job));
  if (idle) {
    napi_ref_threadsafe_function(env_, wake_);
    startNext();
  }
  return promise;
}

bool JobQueue::open() {
  if (closing_ || wake_) return !closing_;
  if (napi_create_threadsafe_function(env_, nullptr, nullptr, text(env_, "turnwise jobs"), 0, 1, nullptr, nullptr, this,
                                      onFinished, &wake_) != napi_ok) {
    return false;
  }
  napi_unref_threadsafe_function(env_, wake_);
  // Hooks run last in, first out: after this one registers, it runs before Node closes wake_.
  return napi_add_env_cleanup_hook(env_, onTeardown, this) == napi_ok;
}

void JobQueue::startNext() {
  while (!waiting_.empty()) {
    std::unique_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop_front();
    if (isAborted(*job)) {
      job->outcome.status = {StatusCode::aborted, -1};
      settle(*job);
    } else if (start(std::move(job))) {
      return;
    }
  }
  napi_unref_threadsafe_function(env_, wake_);
}

bool JobQueue::start(std::unique_ptr<Job> job) {
  running_ = std::move(job);
  try {
    thread_ = std::thread([job = running_.get(), wake = wake_] {
      Context context;
      context.abort = job->abort;
      job->outcome = job->run(context);
      // Not taken while the environment closes; onTeardown waits for the thread instead.
      napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking);
    });
    return true;
  } catch (const std::exception&) {  // no thread, or no memory for one
    std::unique_ptr<Job> failed = std::move(running_);
    failed->outcome.status = {StatusCode::outOfMemory, -1};
    settle(*failed);
    return false;
  }
}

void JobQueue::onFinished(napi_env env, napi_value, void* data, void*) {
  if (!env) return;  // the environment went down with this call still queued
  auto& queue = *static_cast<JobQueue*>(data);
  if (queue.closing_) return;
  queue.thread_.join();
  std::unique_ptr<Job> job = std::move(queue.running_);
  queue.settle(*job);
  queue.startNext();
}

void JobQueue::settle(Job& job) {
  job.buffers.release(env_);
  // In a worker that is being terminated these calls fail; then nobody waits for the promise either.
  if (job.outcome.unexpected.empty()) {
    if (napi_value status = statusObject(env_, job.outcome.status)) napi_resolve_deferred(env_, job.deferred, status);
    return;
  }
  napi_value error = nullptr;
  if (napi_create_error(env_, nullptr, text(env_, job.outcome.unexpected.c_str()), &error) == napi_ok) {
    napi_reject_deferred(env_, job.deferred, error);
  }
}

void JobQueue::onTeardown(void* data) {
  auto& queue = *static_cast<JobQueue*>(data);
  queue.closing_ = true;
  if (queue.running_) queue.running_->abort->store(1, std::memory_order_relaxed);
  if (queue.thread_.joinable()) queue.thread_.join();
  // Their promises stay open: no JavaScript runs here any more. (Of each, Node keeps eight bytes that only settling
  // frees.)
  if (queue.running_) queue.running_->buffers.release(queue.env_);
  for (auto& job : queue.waiting_) job->buffers.release(queue.env_);
  queue.running_.reset();
  queue.waiting_.clear();
  napi_release_threadsafe_function(queue.wake_, napi_tsfn_abort);
}

}  // namespace turnwise::binding
