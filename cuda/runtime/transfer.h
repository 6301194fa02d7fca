// Copies between pageable host memory and the device through pinned buffers in turn: while one is on its way the next
// is filled (or emptied), so that neither the bus nor the host waits for the other.
#pragma once
#include <deque>
#include <vector>

#include "failure.h"

namespace turnwise::cuda {

class Transfer {
 public:
  Transfer() = default;
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// `from` may change as soon as this returns; the device sees the data in the order of the stream.
  void toDevice(void* to, const void* from, size_t bytes, cudaStream_t stream);
  /// `to` is written by the time finish() returns.
  void toHost(void* to, const void* from, size_t bytes, cudaStream_t stream);
  void finish();

  /// Pinned memory of at least this size, until the next call.
  unsigned char* pinned(size_t bytes);

 private:
  struct Buffer {
    unsigned char* data = nullptr;
    cudaEvent_t done = nullptr;
    unsigned char* to = nullptr;  // where its contents go when they have arrived
    size_t bytes = 0;
  };

  Buffer& nextBuffer();
  void empty(Buffer& buffer);

  std::vector<Buffer> buffers_;
  size_t next_ = 0;
  unsigned char* pinned_ = nullptr;
  size_t pinnedBytes_ = 0;
};

}  // namespace turnwise::cuda
