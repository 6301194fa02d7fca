// What the GPU benches measure with: device memory, launches, times.
#pragma once
#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "../../cuda/runtime/step.h"

namespace turnwise::bench {

using cuda::check;

class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t bytes) : bytes_(bytes) {
    void* data = nullptr;
    check(cudaMalloc(&data, std::max<size_t>(bytes, 1)));
    data_ = static_cast<unsigned char*>(data);
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  ~DeviceBuffer() {
    if (data_) cudaFree(data_);
  }
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;

  unsigned char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  unsigned char* data_;
  size_t bytes_;
};

/// An array on both sides.
template <class T>
class Mirrored {
 public:
  explicit Mirrored(size_t size, T value = T{}) : host(size, value), device_(size * sizeof(T)) {}

  View<const T> input(Memory memory) const { return {data(memory), host.size(), memory}; }
  View<T> output(Memory memory) { return {data(memory), host.size(), memory}; }
  void toDevice() const { check(cudaMemcpy(device_.data(), host.data(), device_.bytes(), cudaMemcpyHostToDevice)); }
  void toHost() { check(cudaMemcpy(host.data(), device_.data(), device_.bytes(), cudaMemcpyDeviceToHost)); }

  std::vector<T> host;

 private:
  T* data(Memory memory) const {
    return memory == Memory::device ? reinterpret_cast<T*>(device_.data()) : const_cast<T*>(host.data());
  }
  DeviceBuffer device_;
};

template <class... P, class... A>
void launch(unsigned blocks, unsigned threads, cudaStream_t stream, void (*kernel)(P...), const A&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...));
}

class Timing {
 public:
  void add(double seconds) { seconds_.push_back(seconds); }
  size_t count() const { return seconds_.size(); }
  double fastest() const { return *std::min_element(seconds_.begin(), seconds_.end()); }
  double median() const {
    std::vector<double> sorted = seconds_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }

 private:
  std::vector<double> seconds_;
};

/// Between two events of a stream.
class Stopwatch {
 public:
  explicit Stopwatch(cudaStream_t stream) : stream_(stream) {
    check(cudaEventCreateWithFlags(&begin_, cudaEventDefault));
    check(cudaEventCreateWithFlags(&end_, cudaEventDefault));
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void start() { check(cudaEventRecord(begin_, stream_)); }
  void stop() { check(cudaEventRecord(end_, stream_)); }
  double seconds() {
    check(cudaEventSynchronize(end_));
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin_, end_));
    return milliseconds * 1e-3;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

/// Fills the L2 cache with other data. Takes long enough that the host has listed the work that follows by the time the
/// device comes to it, so that no launch gap is measured.
class CacheFlush {
 public:
  CacheFlush() : scratch_(16 * cacheBytes()) {}
  void operator()(cudaStream_t stream) { check(cudaMemsetAsync(scratch_.data(), ++value_, scratch_.bytes(), stream)); }

  static size_t cacheBytes() {
    int bytes = 0;
    check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, cuda::device().ordinal));
    return std::max<size_t>(static_cast<size_t>(bytes), size_t{1} << 20);
  }

 private:
  DeviceBuffer scratch_;
  unsigned char value_ = 0;
};

constexpr int kWarmUps = 3;

/// Times body(), which sends work to `stream`, with prepare() before each repeat and without what it sends.
template <class Prepare, class Body>
Timing onDevice(cudaStream_t stream, int repeats, const Prepare& prepare, const Body& body) {
  Timing timing;
  Stopwatch watch(stream);
  for (int i = -kWarmUps; i < repeats; ++i) {
    prepare();
    watch.start();
    body();
    watch.stop();
    const double seconds = watch.seconds();
    if (i >= 0) timing.add(seconds);
  }
  return timing;
}

/// Times body() by the host's clock.
template <class Body>
Timing onHost(int repeats, const Body& body) {
  Timing timing;
  for (int i = -kWarmUps; i < repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (i >= 0) timing.add(seconds);
  }
  return timing;
}

}  // namespace turnwise::bench
