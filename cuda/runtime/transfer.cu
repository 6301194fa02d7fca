#include <algorithm>
#include <cstring>

#include "../../native/cpu/thread_pool.h"
#include "transfer.h"

namespace turnwise::cuda {

namespace {

/// Four buffers of 4 MB: large enough that starting a copy costs nothing beside it, and enough of them that a late
/// thread does not stop the bus.
constexpr size_t kBuffers = 4;
constexpr size_t kBufferBytes = size_t{4} << 20;
/// One core copies a quarter of what the bus carries, so the library's pool does it in pieces of this size.
constexpr size_t kPieceBytes = size_t{256} << 10;

void copyOnHost(unsigned char* to, const unsigned char* from, size_t bytes) {
  const size_t pieces = (bytes + kPieceBytes - 1) / kPieceBytes;
  if (pieces < 2) {
    std::memcpy(to, from, bytes);
    return;
  }
  const Context context;
  cpu::ThreadPool::instance().parallelFor(pieces, 1, context, [&](size_t piece) {
    const size_t begin = piece * kPieceBytes;
    std::memcpy(to + begin, from + begin, std::min(kPieceBytes, bytes - begin));
  });
}

}  // namespace

Transfer::~Transfer() {
  if (pinned_) cudaFreeHost(pinned_);
  for (const Buffer& buffer : buffers_) {
    if (buffer.done) cudaEventDestroy(buffer.done);
    if (buffer.data) cudaFreeHost(buffer.data);
  }
}

unsigned char* Transfer::pinned(size_t bytes) {
  if (bytes <= pinnedBytes_) return pinned_;
  void* data = nullptr;
  check(cudaHostAlloc(&data, 2 * bytes, cudaHostAllocDefault));
  if (pinned_) cudaFreeHost(pinned_);
  pinned_ = static_cast<unsigned char*>(data);
  pinnedBytes_ = 2 * bytes;
  return pinned_;
}

/// The buffer used longest ago, once it is free.
Transfer::Buffer& Transfer::nextBuffer() {
  if (buffers_.size() < kBuffers) {
    buffers_.emplace_back();
    void* data = nullptr;
    check(cudaHostAlloc(&data, kBufferBytes, cudaHostAllocDefault));
    buffers_.back().data = static_cast<unsigned char*>(data);
    check(cudaEventCreateWithFlags(&buffers_.back().done, cudaEventDisableTiming));
    return buffers_.back();
  }
  Buffer& buffer = buffers_[next_++ % kBuffers];
  empty(buffer);
  return buffer;
}

void Transfer::empty(Buffer& buffer) {
  check(cudaEventSynchronize(buffer.done));
  if (buffer.to) copyOnHost(buffer.to, buffer.data, buffer.bytes);
  buffer.to = nullptr;
}

void Transfer::toDevice(void* to, const void* from, size_t bytes, cudaStream_t stream) {
  for (size_t begin = 0; begin < bytes; begin += kBufferBytes) {
    const size_t count = std::min(kBufferBytes, bytes - begin);
    Buffer& buffer = nextBuffer();
    copyOnHost(buffer.data, static_cast<const unsigned char*>(from) + begin, count);
    check(cudaMemcpyAsync(static_cast<unsigned char*>(to) + begin, buffer.data, count, cudaMemcpyHostToDevice, stream));
    check(cudaEventRecord(buffer.done, stream));
  }
}

void Transfer::toHost(void* to, const void* from, size_t bytes, cudaStream_t stream) {
  for (size_t begin = 0; begin < bytes; begin += kBufferBytes) {
    const size_t count = std::min(kBufferBytes, bytes - begin);
    Buffer& buffer = nextBuffer();
    check(cudaMemcpyAsync(buffer.data, static_cast<const unsigned char*>(from) + begin, count, cudaMemcpyDeviceToHost,
                          stream));
    check(cudaEventRecord(buffer.done, stream));
    buffer.to = static_cast<unsigned char*>(to) + begin;
    buffer.bytes = count;
  }
}

void Transfer::finish() {
  for (size_t i = 0; i < buffers_.size(); ++i) empty(buffers_[(next_ + i) % buffers_.size()]);
}

}  // namespace turnwise::cuda
