#include <atomic>
#include <mutex>

#include "workplace.h"

namespace turnwise::cuda {

namespace {

/// Workplaces that nobody uses. Never destroyed: at exit the driver may already be gone.
struct Pool {
  std::mutex mutex;
  std::vector<std::unique_ptr<Workplace>> idle;
};

Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

/// The error that broke the context.
std::atomic<int> lostTo{cudaSuccess};

/// What the runtime documents as leaving the process without a usable context. Asking the device instead would wait for
/// other threads' work, and break a graph that one of them is capturing.
bool breaksContext(cudaError_t error) {
  switch (static_cast<int>(error)) {
    case 214:  // uncorrectable ECC error
    case 220:  // NVLink
    case 226:  // contained error
    case 700:  // illegal address
    case 702:  // launch timeout
    case 709:  // context is destroyed
    case 710:  // assert
    case 714:  // hardware stack error
    case 715:  // illegal instruction
    case 716:  // misaligned address
    case 717:  // invalid address space
    case 718:  // invalid program counter
    case 719:  // launch failure
      return true;
    default:
      return false;
  }
}

}  // namespace

Borrowed::Borrowed() {
  Pool& all = pool();
  {
    std::lock_guard<std::mutex> lock(all.mutex);
    if (!all.idle.empty()) {
      workplace_ = std::move(all.idle.back());
      all.idle.pop_back();
    }
  }
  if (!workplace_) workplace_ = std::make_unique<Workplace>();
}

Borrowed::~Borrowed() {
  if (!finished_) return;
  Pool& all = pool();
  std::lock_guard<std::mutex> lock(all.mutex);
  all.idle.push_back(std::move(workplace_));
}

Status lostStatus() {
  const int error = lostTo.load(std::memory_order_relaxed);
  return error == cudaSuccess ? Status{} : Status{StatusCode::deviceLost, error};
}

Status statusOf(const Failure& failure) {
  if (breaksContext(failure.error)) {
    lostTo.store(failure.error, std::memory_order_relaxed);
  } else if (failure.error == cudaErrorMemoryAllocation) {
    return {StatusCode::outOfMemory, -1};
  }
  return {StatusCode::deviceError, static_cast<int64_t>(failure.error)};
}

void useDevice() {
  check(cudaSetDevice(device().ordinal));
}

}  // namespace turnwise::cuda
