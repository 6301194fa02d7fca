// What one step at a time runs on: a stream, device memory that lives until the step ends, and the list of its
// launches.
//
// An op first describes its step - takes memory, writes parameter records, lists launches - and then runs it. Nothing
// is sent to the device in between, so a step that lists the same launches as an earlier one is that one's graph with
// other parameters.
#pragma once
#include <cstring>
#include <memory>
#include <vector>

#include "../device/error_word.cuh"
#include "device.h"

namespace turnwise::cuda {

class Lane {
 public:
  Lane();
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  /// Forgets the last step: its records and launches.
  void begin();
  /// After a step has been waited for: its memory in one piece for the next, or given back where it was much.
  void end();

  /// Uninitialised device memory of this step, 256-byte aligned. A kernel that needs zeros writes them.
  template <class T>
  T* take(size_t count) {
    return static_cast<T*>(takeBytes(count * sizeof(T)));
  }

  /// Where kernels of this step find `record`.
  template <class T>
  const T* parameters(const T& record) {
    static_assert(std::is_trivially_copyable<T>::value && alignof(T) <= kRecordAlignment);
    return static_cast<const T*>(addRecord(&record, sizeof(T)));
  }

  template <class... P>
  void launch(const Geometry& geometry, void (*kernel)(P*...), std::common_type_t<P*>... arguments) {
    launches_.push_back(Launch(geometry, kernel, arguments...));
  }

  /// The step's error word; kNone before the first kernel.
  ErrorWord* error() const;

  cudaStream_t stream() const { return stream_; }

  /// Sends records and launches to the device. With `asGraph` through a graph, made when this list of launches is seen
  /// for the first time.
  void submit(bool asGraph);
  /// Waits for everything submitted; the step's first error.
  Status wait();

 private:
  static constexpr size_t kRecordAlignment = 16;
  struct Chunk;
  struct Graph;

  void create();
  void destroy();
  void* takeBytes(size_t bytes);
  void addChunk(size_t bytes);
  const void* addRecord(const void* record, size_t bytes);
  void sendAll();
  Graph& graph();

  cudaStream_t stream_ = nullptr;
  std::vector<Chunk> chunks_;
  size_t taken_ = 0;                  // of the last chunk
  unsigned char* pinned_ = nullptr;   // an error word without error, then the records
  unsigned char* records_ = nullptr;  // the same on the device
  size_t recordBytes_ = 0;
  ErrorWord* result_ = nullptr;  // pinned: the error word as it comes back
  std::vector<Launch> launches_;
  std::vector<std::unique_ptr<Graph>> graphs_;
};

}  // namespace turnwise::cuda
