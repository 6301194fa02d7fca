// What the kernels need of a GPU beyond C++: CUDA's own names, and the few instructions that have none.
//
// The same sources are compiled by nvcc and, for tests on machines without a GPU, by g++ under the project's emulation
// (test/cuda/emulation), which supplies everything below as well. PTX lives in this file alone.
//
// Rules that both compilers need: shared memory is dynamic (sharedMemory()); a kernel is started by launch.cuh; kernel
// parameters are pointers to device memory.
#pragma once
#include "../../native/types.h"

#if defined(__CUDACC__)

#include <cuda_fp16.h>
#include <cuda_runtime.h>

namespace turnwise::cuda {

/// Clusters of blocks, bulk copies and transfer barriers exist from sm_90 on. Code for older devices is compiled too,
/// and must not be launched with a cluster or reach a bulk copy.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
constexpr bool kHasClusters = true;
#else
constexpr bool kHasClusters = false;
#endif

/// The block's dynamic shared memory, 128-byte aligned. Its contents are undefined at the start.
__device__ inline unsigned char* sharedMemory() {
  extern __shared__ __align__(128) unsigned char turnwiseSharedMemory[];
  return turnwiseSharedMemory;
}

// ------------------------------------------------------------------------------------------------------- arithmetic

/// 2^x to 2^-22, subnormal results are 0.
__device__ inline float exp2Approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// The smaller; NaN where one is NaN.
__device__ inline float minNan(float a, float b) {
  float smaller;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(smaller) : "f"(a), "f"(b));
  return smaller;
}

/// Two floats as bf16 or f16, rounded to nearest even, the first in the low half.
__device__ inline uint32_t packBf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ inline uint32_t packF16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
__device__ inline float f16ToFloat(uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}

// ------------------------------------------------------------------------------------------------------- memory

/// Loads and stores of data that is touched once: they leave the caches to the rest.
__device__ inline uint4 loadStreaming(const uint4* from) {
  return __ldcs(from);
}
__device__ inline void storeStreaming(uint4* to, uint4 value) {
  __stcs(to, value);
}

// ------------------------------------------------------------------------------------------------------- clusters

#if __CUDA_ARCH__ >= 900
__device__ inline unsigned clusterRank() {
  unsigned rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ inline unsigned clusterSize() {
  unsigned size;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
}
/// Every thread of the cluster arrives; what was written before, to global or shared memory, is seen after.
__device__ inline void clusterSync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
/// The address, in the shared memory of the cluster's block `rank`, of what `mine` is in this block's.
template <class T>
__device__ inline T* peerShared(T* mine, unsigned rank) {
  uint64_t peer;
  asm("mapa.u64 %0, %1, %2;" : "=l"(peer) : "l"(reinterpret_cast<uint64_t>(mine)), "r"(rank));
  return reinterpret_cast<T*>(peer);
}
#else
__device__ inline unsigned clusterRank() {
  return 0;
}
__device__ inline unsigned clusterSize() {
  return 1;
}
__device__ inline void clusterSync() {
  __syncthreads();
}
template <class T>
__device__ inline T* peerShared(T* mine, unsigned) {
  return mine;
}
#endif

// ------------------------------------------------------------------------------------------------------- bulk copies

/// Counts the bytes of bulk copies into this block's shared memory. One per copy in flight, in shared memory.
struct TransferBarrier {
  uint64_t state;
};

#if __CUDA_ARCH__ >= 900
__device__ inline uint32_t sharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}
/// By one thread, before __syncthreads() and the first use.
__device__ inline void initBarrier(TransferBarrier* barrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(sharedAddress(barrier)) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
/// By the thread that starts the copies: this phase is complete when `bytes` have arrived.
__device__ inline void expectBytes(TransferBarrier* barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(barrier)), "r"(bytes)
               : "memory");
}
/// By every thread that reads the data. `phase` is 0 for the barrier's first use, then 1, 0, ...
__device__ inline void waitBytes(TransferBarrier* barrier, uint32_t phase) {
  asm volatile(
      "{\n\t.reg .pred done;\n"
      "again:\n\tmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n\t@!done bra again;\n\t}" ::"r"(
          sharedAddress(barrier)),
      "r"(phase)
      : "memory");
}
/// Global to shared memory; addresses and bytes are multiples of 16.
__device__ inline void bulkLoad(void* to, const void* from, uint32_t bytes, TransferBarrier* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   sharedAddress(to)),
               "l"(from), "r"(bytes), "r"(sharedAddress(barrier))
               : "memory");
}
/// Shared to global memory. Every thread that wrote the shared memory calls shareForBulkStore() before the barrier that
/// precedes this.
__device__ inline void bulkStore(void* to, const void* from, uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(sharedAddress(from)),
               "r"(bytes)
               : "memory");
}
__device__ inline void shareForBulkStore() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
/// The stores so far of this thread form a group.
__device__ inline void commitBulkStores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
/// By the thread that started them: at most `kPending` groups have not yet read their shared memory.
template <int kPending>
__device__ inline void waitBulkStoresRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}
/// All groups have arrived in global memory.
__device__ inline void waitBulkStores() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}
#else
__device__ inline void initBarrier(TransferBarrier*) {}
__device__ inline void expectBytes(TransferBarrier*, uint32_t) {}
__device__ inline void waitBytes(TransferBarrier*, uint32_t) {}
__device__ inline void bulkLoad(void*, const void*, uint32_t, TransferBarrier*) {}
__device__ inline void bulkStore(void*, const void*, uint32_t) {}
__device__ inline void shareForBulkStore() {}
__device__ inline void commitBulkStores() {}
template <int kPending>
__device__ inline void waitBulkStoresRead() {}
__device__ inline void waitBulkStores() {}
#endif

}  // namespace turnwise::cuda

#else
#include <emulated_cuda.h>  // test/cuda/emulation
#endif
