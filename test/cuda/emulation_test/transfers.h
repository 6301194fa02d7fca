// Bugs around bulk copies, each with its correct twin.
#pragma once
#include "harness.h"

enum class LoadBug {
  none,
  notWaited,       // the data is read before it has come
  neverWaited,     // nobody waits at all
  tooFewExpected,  // less than arrives
  tooManyExpected,
  misaligned,
  wrongPhase,
  secondPhase,   // of the barrier's two uses the second waits as the first did
  notShared,     // the others use the barrier before they know that it is initialised
  refilledEarly  // while others still read what the first load brought
};

template <LoadBug kBug>
void loadKernel(const float* from, float* to) {
  auto* barrier = reinterpret_cast<TransferBarrier*>(sharedMemory());
  float* tile = reinterpret_cast<float*>(sharedMemory() + 16);
  constexpr unsigned kBytes = kThreads * sizeof(float);
  if (threadIdx.x == 0) initBarrier(barrier);
  if (kBug != LoadBug::notShared) __syncthreads();
  float sum = 0;
  for (unsigned round = 0; round < 2; ++round) {
    if (threadIdx.x == 0) {
      expectBytes(barrier, kBug == LoadBug::tooFewExpected    ? kBytes - 16
                           : kBug == LoadBug::tooManyExpected ? kBytes + 16
                                                              : kBytes);
      bulkLoad(tile, from + round * kThreads + (kBug == LoadBug::misaligned), kBytes / 2, barrier);
      bulkLoad(tile + kThreads / 2, from + round * kThreads + kThreads / 2, kBytes / 2, barrier);
    }
    const unsigned phase =
        kBug == LoadBug::wrongPhase || (kBug == LoadBug::secondPhase && round == 1) ? 1 - round : round;
    float early = 0;
    if (kBug == LoadBug::notWaited) early = tile[(threadIdx.x + 50) % kThreads];
    if (kBug != LoadBug::neverWaited) waitBytes(barrier, phase);
    if (kBug == LoadBug::notWaited || kBug == LoadBug::refilledEarly) __syncthreads();
    sum += kBug == LoadBug::notWaited ? early : tile[(threadIdx.x + 50) % kThreads];
    if (kBug != LoadBug::refilledEarly) __syncthreads();
    if (kBug == LoadBug::neverWaited) break;
  }
  to[(threadIdx.x + 50) % kThreads] = sum;
}

template <LoadBug kBug>
bool bulkLoads() {
  const float* from = deviceFloats(2 * kThreads + 4);
  float* to = deviceFloats(kThreads, false);
  launch(loadKernel<kBug>, 1, 1, 16 + kThreads * sizeof(float), nullptr, from, to);
  REQUIRE(isRamp(download(to, kThreads), kThreads, 2));
  return true;
}

/// The next load may begin to arrive as soon as it is started.
template <bool kBug>
void staleKernel(const float* from, float* to) {
  auto* barrier = reinterpret_cast<TransferBarrier*>(sharedMemory());
  float* tile = reinterpret_cast<float*>(sharedMemory() + 16);
  const auto load = [&](unsigned round) {
    if (threadIdx.x != 0) return;
    expectBytes(barrier, kThreads * sizeof(float));
    bulkLoad(tile, from + round * kThreads, kThreads * sizeof(float), barrier);
  };
  if (threadIdx.x == 0) initBarrier(barrier);
  __syncthreads();
  load(0);
  waitBytes(barrier, 0);
  __syncthreads();
  if (kBug) load(1);
  __syncthreads();
  to[threadIdx.x] = tile[threadIdx.x];
  __syncthreads();
  if (!kBug) load(1);
  waitBytes(barrier, 1);
}
template <bool kBug>
bool staleReads() {
  const float* from = deviceFloats(2 * kThreads);
  float* to = deviceFloats(kThreads, false);
  launch(staleKernel<kBug>, 1, 1, 16 + kThreads * sizeof(float), nullptr, from, to);
  REQUIRE(isRamp(download(to, kThreads)));
  return true;
}

inline bool bulkLoadsOnOldDevice() {
  setenv("TURNWISE_EMULATION_DEVICE", "80", 1);
  return bulkLoads<LoadBug::none>();
}

enum class StoreBug { none, overwritten, neverWaited, misaligned };

template <StoreBug kBug>
void storeKernel(float* to) {
  float* tile = reinterpret_cast<float*>(sharedMemory());
  constexpr unsigned kBytes = kThreads * sizeof(float);
  to += blockIdx.x * 2 * kThreads;
  for (unsigned round = 0; round < 2; ++round) {
    tile[threadIdx.x] = static_cast<float>((blockIdx.x * 2 + round) * kThreads + threadIdx.x);
    shareForBulkStore();
    __syncthreads();
    if (threadIdx.x == 0) {
      bulkStore(to + round * kThreads, tile + (kBug == StoreBug::misaligned ? 1 : 0), kBytes);
      commitBulkStores();
      if (kBug == StoreBug::overwritten) {
        waitBulkStoresRead<1>();
      } else if (kBug != StoreBug::neverWaited) {
        waitBulkStoresRead<0>();
      }
    }
    __syncthreads();
  }
  if (threadIdx.x == 0 && kBug != StoreBug::neverWaited) waitBulkStores();
}

template <StoreBug kBug>
bool bulkStores() {
  float* to = deviceFloats(4 * kThreads, false);
  launch(storeKernel<kBug>, 2, 1, kThreads * sizeof(float), nullptr, to);
  REQUIRE(isRamp(download(to, 4 * kThreads)));
  return true;
}
