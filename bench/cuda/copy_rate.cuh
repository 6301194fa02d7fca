// How fast this device moves bytes: the ceiling that every op is held against.
#pragma once
#include <string>

#include "measure.cuh"

namespace turnwise::bench {

constexpr unsigned kCopyThreads = 512;
constexpr size_t kVectorsInFlight = 4;  // of 16 bytes, per thread

/// Of 16-byte vectors: to[i] = from[i]. Each block in turn takes a tile of kCopyThreads * kVectorsInFlight.
template <bool kStreaming>
__global__ void copyKernel(const uint4* from, uint4* to, size_t count) {
  constexpr size_t kTile = kCopyThreads * kVectorsInFlight;
  for (size_t tile = size_t{blockIdx.x} * kTile; tile < count; tile += size_t{gridDim.x} * kTile) {
    uint4 values[kVectorsInFlight];
#pragma unroll
    for (size_t j = 0; j < kVectorsInFlight; ++j) {
      const uint4* const source = from + tile + j * kCopyThreads + threadIdx.x;
      values[j] = kStreaming ? cuda::loadStreaming(source) : *source;
    }
#pragma unroll
    for (size_t j = 0; j < kVectorsInFlight; ++j) {
      uint4* const target = to + tile + j * kCopyThreads + threadIdx.x;
      if (kStreaming) {
        cuda::storeStreaming(target, values[j]);
      } else {
        *target = values[j];
      }
    }
  }
}

/// Reads only. The store never happens, which the compiler cannot know.
static __global__ void readKernel(const uint4* from, uint4* never, size_t count) {
  constexpr size_t kTile = kCopyThreads * kVectorsInFlight;
  uint4 sum{0, 0, 0, 0};
  for (size_t tile = size_t{blockIdx.x} * kTile; tile < count; tile += size_t{gridDim.x} * kTile) {
#pragma unroll
    for (size_t j = 0; j < kVectorsInFlight; ++j) {
      const uint4 value = from[tile + j * kCopyThreads + threadIdx.x];
      sum.x |= value.x;
      sum.y |= value.y;
      sum.z |= value.z;
      sum.w |= value.w;
    }
  }
  if ((sum.x & sum.y & sum.z & sum.w) == 0x9e3779b9u) *never = sum;
}

/// Not zeros, of which some memories are faster.
static __global__ void scatterBitsKernel(uint4* to, size_t count) {
  for (size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += size_t{gridDim.x} * blockDim.x) {
    const auto bits = static_cast<uint32_t>(i) * 0x9e3779b9u;
    to[i] = {bits, bits ^ 0x5bd1e995u, ~bits, bits >> 7};
  }
}

struct Rate {
  std::string how;
  Timing timing;
  double bytes = 0;  // read and written
  double fastest() const { return bytes / timing.fastest(); }
  double median() const { return bytes / timing.median(); }
};

struct CopyRates {
  std::vector<Rate> copies;
  Rate inPlace, read;  // beside them, not the ceiling

  /// The one with the best median: what "copy rate" means.
  const Rate& best() const {
    return *std::max_element(copies.begin(), copies.end(),
                             [](const Rate& a, const Rate& b) { return a.median() < b.median(); });
  }
};

/// Of two buffers of about `bytes` each.
inline CopyRates measureCopyRates(size_t bytes, int repeats, cudaStream_t stream) {
  constexpr size_t kTileBytes = kCopyThreads * kVectorsInFlight * sizeof(uint4);
  const size_t tiles = std::max<size_t>(bytes / kTileBytes, 1);
  const size_t count = tiles * kCopyThreads * kVectorsInFlight;
  const DeviceBuffer from(tiles * kTileBytes), to(tiles * kTileBytes);
  auto* const source = reinterpret_cast<uint4*>(from.data());
  auto* const target = reinterpret_cast<uint4*>(to.data());
  const unsigned resident = 4 * cuda::device().multiprocessors;
  launch(resident, kCopyThreads, stream, scatterBitsKernel, source, count);

  CacheFlush flush;
  const double twice = 2.0 * static_cast<double>(from.bytes());
  const auto measure = [&](const char* how, double moved, const auto& body) {
    return Rate{how,
                onDevice(
                    stream, repeats, [&] { flush(stream); }, body),
                moved};
  };
  const auto onePass = static_cast<unsigned>(std::min<size_t>(tiles, 0x7fffffff));
  CopyRates rates;
  rates.copies.push_back(measure("cudaMemcpy", twice, [&] {
    check(cudaMemcpyAsync(target, source, from.bytes(), cudaMemcpyDeviceToDevice, stream));
  }));
  const auto add = [&](const char* how, unsigned blocks, auto kernel) {
    rates.copies.push_back(
        measure(how, twice, [&] { launch(blocks, kCopyThreads, stream, kernel, source, target, count); }));
  };
  add("kernel, resident blocks", resident, copyKernel<false>);
  add("kernel, resident blocks, streaming", resident, copyKernel<true>);
  add("kernel, a block per tile", onePass, copyKernel<false>);
  add("kernel, a block per tile, streaming", onePass, copyKernel<true>);
  rates.inPlace = measure("in place, resident blocks, streaming", twice,
                          [&] { launch(resident, kCopyThreads, stream, copyKernel<true>, source, source, count); });
  rates.read = measure("read only, resident blocks", twice / 2,
                       [&] { launch(resident, kCopyThreads, stream, readKernel, source, target, count); });
  return rates;
}

}  // namespace turnwise::bench
