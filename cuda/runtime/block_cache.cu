#include "block_cache.h"

namespace turnwise::cuda {

namespace {

/// What is larger costs its allocation little beside its use.
constexpr size_t kLargestKept = size_t{64} << 20;
constexpr size_t kMostKept = size_t{512} << 20;
constexpr size_t kSmallestStep = 512;

/// Up to an eighth more than asked for, so that batches of nearly the same size share blocks.
size_t sizeClass(size_t bytes) {
  size_t step = kSmallestStep;
  while (step * 8 < bytes) step *= 2;
  return bytes == 0 ? step : (bytes + step - 1) / step * step;
}

/// Null where there is no memory.
void* tryAllocate(size_t bytes) {
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error != cudaErrorMemoryAllocation) check(error);
  if (error != cudaSuccess) cudaGetLastError();
  return data;
}

}  // namespace

BlockCache& BlockCache::instance() {
  static BlockCache& cache = *new BlockCache;
  return cache;
}

void* BlockCache::take(size_t bytes) {
  size_t size = sizeClass(bytes);
  const std::lock_guard<std::mutex> lock(mutex_);
  void* data = nullptr;
  const auto kept = kept_.find(size);
  if (kept != kept_.end()) {
    data = kept->second;
    kept_.erase(kept);
    keptBytes_ -= size;
  } else if (!(data = tryAllocate(size))) {
    size = bytes == 0 ? 1 : bytes;
    data = allocateLocked(size);
  }
  used_[data] = size;
  return data;
}

void BlockCache::release(void* data) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto used = used_.find(data);
  const size_t size = used->second;
  used_.erase(used);
  if (size <= kLargestKept && keptBytes_ + size <= kMostKept) {
    kept_.emplace(size, data);
    keptBytes_ += size;
    return;
  }
  // When the process ends the driver may be gone: then there is nothing to give back.
  if (cudaFree(data) != cudaSuccess) cudaGetLastError();
}

void* BlockCache::allocate(size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return allocateLocked(bytes);
}

size_t BlockCache::keptBytes() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return keptBytes_;
}

void* BlockCache::allocateLocked(size_t bytes) {
  void* data = tryAllocate(bytes);
  if (data) return data;
  clearLocked();
  check(cudaMalloc(&data, bytes));
  return data;
}

void BlockCache::clearLocked() {
  for (const auto& [size, data] : kept_) cudaFree(data);
  kept_.clear();
  keptBytes_ = 0;
}

}  // namespace turnwise::cuda
