// Bugs of kernels and of host code, each with its correct twin.
#pragma once
#include "harness.h"

// ------------------------------------------------------------------------------------------------------- barriers

template <bool kBug>
void sumKernel(const float* x, float* sum) {
  float* parts = reinterpret_cast<float*>(sharedMemory());
  float mine = x[threadIdx.x];
  for (int lanes = 16; lanes > 0; lanes /= 2) mine += __shfl_xor_sync(0xffffffff, mine, lanes);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = mine;
  if (!kBug) __syncthreads();
  if (threadIdx.x == 40) sum[blockIdx.x] = parts[0] + parts[1] + parts[2];
}
template <bool kBug>
bool crossWarpRead() {
  const float* x = deviceFloats(kThreads);
  float* sums = deviceFloats(2, false);
  launch(sumKernel<kBug>, 2, 1, 128, nullptr, x, sums);
  const auto got = download(sums, 2);
  REQUIRE(got[0] == 4560 && got[1] == 4560);
  return true;
}

template <bool kBug>
void divergentKernel(float* x) {
  if (!kBug || threadIdx.x < 40) __syncthreads();
  if (kBug && threadIdx.x >= 40) __syncthreads();
  x[threadIdx.x] = static_cast<float>(threadIdx.x);
}
template <bool kBug>
bool divergentBarrier() {
  float* x = deviceFloats(kThreads, false);
  launch(divergentKernel<kBug>, 1, 1, 0, nullptr, x);
  REQUIRE(isRamp(download(x, kThreads)));
  return true;
}

template <bool kBug>
void divergentWarpKernel(float* x) {
  float value = static_cast<float>(threadIdx.x);
  if (!kBug || threadIdx.x % 2 == 0) value = __shfl_sync(0xffffffff, value, threadIdx.x % 32);
  __syncthreads();
  x[threadIdx.x] = value;
}
template <bool kBug>
bool divergentShuffle() {
  float* x = deviceFloats(kThreads, false);
  launch(divergentWarpKernel<kBug>, 1, 1, 0, nullptr, x);
  REQUIRE(isRamp(download(x, kThreads)));
  return true;
}

template <bool kBug>
void ownMaskKernel(unsigned* votes) {
  const unsigned mask = kBug ? 0x0000ffff : threadIdx.x % 32 < 16 ? 0x0000ffff : 0xffff0000;
  const unsigned vote = __ballot_sync(mask, threadIdx.x % 2);
  if (threadIdx.x % 16 == 0) votes[threadIdx.x / 16] = vote;
}
template <bool kBug>
bool ownMask() {
  unsigned* votes = nullptr;
  cudaMalloc(&votes, 24);
  launch(ownMaskKernel<kBug>, 1, 1, 0, nullptr, votes);
  std::array<unsigned, 6> got;
  cudaMemcpy(got.data(), votes, 24, cudaMemcpyDeviceToHost);
  for (size_t half = 0; half < got.size(); ++half) REQUIRE(got[half] == (half % 2 ? 0xaaaa0000 : 0xaaaa));
  return true;
}

template <bool kBug>
void exitedPeerKernel(float* x) {
  float* shared = reinterpret_cast<float*>(sharedMemory());
  const float* peer = peerShared(shared, (clusterRank() + 1) % clusterSize());
  shared[threadIdx.x] = static_cast<float>(threadIdx.x);
  clusterSync();
  const bool late = kBug && clusterRank() == 0;
  float value = late ? 0 : peer[threadIdx.x];
  // Block 0 is kept busy until its peer, under most schedules, has gone.
  for (int i = 0; late && i < 200; ++i) __syncthreads();
  if (late) value = peer[threadIdx.x];
  if (!kBug) clusterSync();
  x[blockIdx.x * kThreads + threadIdx.x] = value + static_cast<float>(blockIdx.x * kThreads);
}
template <bool kBug>
bool exitedPeer() {
  float* x = deviceFloats(4 * kThreads, false);
  launch(exitedPeerKernel<kBug>, 4, 2, kThreads * 4, nullptr, x);
  REQUIRE(isRamp(download(x, 4 * kThreads)));
  return true;
}

template <bool kBug>
void unwrittenKernel(float* x) {
  float* shared = reinterpret_cast<float*>(sharedMemory());
  if (!kBug) shared[threadIdx.x] = 0;
  x[threadIdx.x] = shared[threadIdx.x] + static_cast<float>(threadIdx.x);
}
template <bool kBug>
bool unwritten() {
  float* x = deviceFloats(kThreads);
  launch(unwrittenKernel<kBug>, 1, 1, kThreads * sizeof(float), nullptr, x);
  REQUIRE(isRamp(download(x, kThreads)));
  return true;
}

/// Blocks that no barrier orders write and read the same place.
template <bool kBug>
void racingBlocksKernel(float* x) {
  if (threadIdx.x == blockIdx.x) x[kBug ? 0 : blockIdx.x] = 0;
}
template <bool kBug>
bool racingBlocks() {
  launch(racingBlocksKernel<kBug>, 4, 1, 0, nullptr, deviceFloats(4));
  return cudaDeviceSynchronize() == cudaSuccess;
}

// ------------------------------------------------------------------------------------------------------- memory

enum class Overrun { none, read, write, shared };

template <Overrun kOverrun>
void overrunKernel(const uint4* from, uint4* to, unsigned count) {
  uint4* shared = reinterpret_cast<uint4*>(sharedMemory());
  if (threadIdx.x < count + (kOverrun == Overrun::shared)) shared[threadIdx.x] = from[threadIdx.x % count];
  __syncthreads();
  uint4 value = {};
  if (threadIdx.x < count + (kOverrun == Overrun::read)) value = from[threadIdx.x];
  if (threadIdx.x < count + (kOverrun == Overrun::write)) to[threadIdx.x] = value;
}
template <Overrun kOverrun>
bool overrun() {
  const float* from = deviceFloats(64);
  float* to = deviceFloats(64, false);
  launch(overrunKernel<kOverrun>, 1, 1, 256, nullptr, reinterpret_cast<const uint4*>(from),
         reinterpret_cast<uint4*>(to), 16u);
  REQUIRE(isRamp(download(to, 64)));
  return true;
}

template <bool kBug>
bool hostDereference() {
  float* x = deviceFloats(4);
  const float first = kBug ? x[1] : download(x, 2)[1];
  REQUIRE(first == 1);
  return true;
}

inline void deepKernel(float* x, unsigned depth) {
  volatile float frame[4096];
  frame[threadIdx.x] = static_cast<float>(depth);
  if (depth > 0) deepKernel(x, depth - 1);
  if (threadIdx.x < 4) x[threadIdx.x] = frame[threadIdx.x];
}
template <bool kBug>
bool deepStack() {
  launch(deepKernel, 1, 1, 0, nullptr, deviceFloats(4), kBug ? 20u : 2u);
  return cudaDeviceSynchronize() == cudaSuccess;
}

template <bool kBug>
bool hostPointerArgument() {
  float host[4] = {};
  launch(overrunKernel<Overrun::none>, 1, 1, 256, nullptr, reinterpret_cast<const uint4*>(deviceFloats(64)),
         reinterpret_cast<uint4*>(kBug ? host : deviceFloats(64)), 16u);
  return cudaDeviceSynchronize() == cudaSuccess;
}

template <bool kBug>
bool hostReadsEarly() {
  float* host = nullptr;
  cudaMallocHost(&host, 16);
  cudaMemcpyAsync(host, deviceFloats(4), 16, cudaMemcpyDeviceToHost, nullptr);
  if (!kBug) cudaStreamSynchronize(nullptr);
  REQUIRE(host[3] == 3);
  return true;
}

inline void addOneKernel(const float* from, float* to) {
  to[threadIdx.x] = from[threadIdx.x] + 1;
}
template <bool kBug>
bool streamWait() {
  cudaStream_t first, second;
  cudaEvent_t ready;
  cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
  cudaEventCreateWithFlags(&ready, cudaEventDisableTiming);
  float *x = deviceFloats(kThreads), *y = deviceFloats(kThreads, false), *z = deviceFloats(kThreads, false);
  launch(addOneKernel, 1, 1, 0, first, x, y);
  cudaEventRecord(ready, first);
  if (!kBug) cudaStreamWaitEvent(second, ready, 0);
  launch(addOneKernel, 1, 1, 0, second, y, z);
  cudaStreamSynchronize(second);
  REQUIRE(isRamp(download(z, kThreads), 2));
  return true;
}
