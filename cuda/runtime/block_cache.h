// Device memory of tensors and of lanes. Released tensors' blocks are kept for allocations of the same size: every step
// of a training makes and drops the same arrays, and the runtime's own calls take longer than a small step, and wait
// for the device. A block is released when no step uses it (every step is waited for), so it can be handed on as it is.
#pragma once
#include <map>
#include <mutex>

#include "failure.h"

namespace turnwise::cuda {

class BlockCache {
 public:
  /// The process's. Never destroyed: at exit the driver may already be gone.
  static BlockCache& instance();

  /// Throws Failure where the device has no memory, not even after all kept blocks were given back.
  void* take(size_t bytes);
  void release(void* data);
  /// Memory that is not kept: cudaMalloc, with the same second try. Given back by cudaFree.
  void* allocate(size_t bytes);
  size_t keptBytes();

 private:
  void* allocateLocked(size_t bytes);
  void clearLocked();

  std::mutex mutex_;
  std::multimap<size_t, void*> kept_;  // by size
  std::map<void*, size_t> used_;
  size_t keptBytes_ = 0;
};

}  // namespace turnwise::cuda
