// The runtime API: what host code may rely on.
#pragma once
#include <atomic>
#include <cmath>
#include <thread>

#include "harness.h"
#include "kernels.h"

inline bool memoryRules() {
  setenv("TURNWISE_EMULATION_MEMORY", "4096", 1);
  char *device = nullptr, *other = nullptr, *pinned = nullptr;
  char pageable[16] = {};
  REQUIRE(cudaMalloc(&device, 4000) == cudaSuccess);
  REQUIRE(cudaMalloc(&other, 97) == cudaErrorMemoryAllocation && other == nullptr);
  REQUIRE(cudaGetLastError() == cudaErrorMemoryAllocation && cudaGetLastError() == cudaSuccess);
  size_t available = 0, total = 0;
  REQUIRE(cudaMemGetInfo(&available, &total) == cudaSuccess && available == 96 && total == 4096);
  REQUIRE(cudaHostAlloc(&pinned, 16, cudaHostAllocDefault) == cudaSuccess);
  REQUIRE(cudaMemcpy(device, pageable, 16, cudaMemcpyHostToDevice) == cudaSuccess);
  REQUIRE(cudaMemcpy(device, pageable, 16, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  REQUIRE(cudaMemcpy(pinned, pageable, 16, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  REQUIRE(cudaMemcpy(device + 3990, pageable, 16, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  REQUIRE(cudaMemcpy(pinned, device, 16, cudaMemcpyDefault) == cudaSuccess);
  cudaPointerAttributes attributes;
  REQUIRE(cudaPointerGetAttributes(&attributes, device + 5) == cudaSuccess);
  REQUIRE(attributes.type == cudaMemoryTypeDevice);
  REQUIRE(cudaPointerGetAttributes(&attributes, pageable) == cudaSuccess);
  REQUIRE(attributes.type == cudaMemoryTypeUnregistered);
  REQUIRE(cudaFree(device + 1) == cudaErrorInvalidValue && cudaFree(pinned) == cudaErrorInvalidValue);
  REQUIRE(cudaFreeAsync(device, nullptr) == cudaSuccess && cudaMalloc(&other, 97) == cudaErrorMemoryAllocation);
  REQUIRE(cudaStreamSynchronize(nullptr) == cudaSuccess && cudaMalloc(&other, 97) == cudaSuccess);
  return cudaFree(other) == cudaSuccess && cudaFreeHost(pinned) == cudaSuccess;
}

/// Pageable sources are read at the call, pinned ones when the copy executes.
inline bool stagedCopies() {
  float pageable[4] = {0, 1, 2, 3};
  float *pinned = nullptr, *x = deviceFloats(4, false), *y = deviceFloats(4, false);
  cudaMallocHost(&pinned, 16);
  std::memcpy(pinned, pageable, 16);
  cudaMemcpyAsync(x, pageable, 16, cudaMemcpyHostToDevice);
  cudaMemcpyAsync(y, pinned, 16, cudaMemcpyHostToDevice);
  for (int i = 0; i < 4; ++i) pageable[i] = pinned[i] = 10;
  REQUIRE(isRamp(download(x, 4)) && isRamp(download(y, 4), 10, 0));
  REQUIRE(cudaMemsetAsync(x, 0, 16) == cudaSuccess && isRamp(download(x, 4), 0, 0));
  const EmulatedCounters counters = emulatedCounters();
  REQUIRE(counters.bytesToDevice == 32 && counters.bytesToHost == 48 && counters.hostSynchronisations == 3);
  return true;
}

inline bool refusedLaunches() {
  float* x = deviceFloats(kThreads);
  REQUIRE(launch(addOneKernel, 0, 1, 0, nullptr, x, x) == cudaErrorInvalidConfiguration);
  REQUIRE(launch(addOneKernel, 3, 2, 0, nullptr, x, x) == cudaErrorInvalidValue);
  REQUIRE(launch(addOneKernel, 16, 16, 0, nullptr, x, x) == cudaErrorInvalidValue);
  REQUIRE(launch(addOneKernel, 1, 1, 50000, nullptr, x, x) == cudaErrorInvalidValue);
  const auto most = cudaFuncAttributeMaxDynamicSharedMemorySize;
  REQUIRE(cudaFuncSetAttribute(addOneKernel, most, 232449) == cudaErrorInvalidValue);
  REQUIRE(cudaFuncSetAttribute(addOneKernel, most, 232448) == cudaSuccess);
  REQUIRE(launch(addOneKernel, 1, 1, 232448, nullptr, x, x) == cudaSuccess);
  cudaLaunchConfig_t config{dim3(8), dim3(kThreads), 232448, nullptr, nullptr, 0};
  int count = 0;
  REQUIRE(cudaOccupancyMaxActiveClusters(&count, addOneKernel, &config) == cudaSuccess && count == 4);
  REQUIRE(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, addOneKernel, 512, 1000) == cudaSuccess && count == 4);
  return isRamp(download(x, kThreads), 1);
}

inline bool otherDevices() {
  setenv("TURNWISE_EMULATION_DEVICE", "80", 1);
  int value = 0;
  REQUIRE(cudaGetDeviceCount(&value) == cudaSuccess && value == 1);
  REQUIRE(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess && value == 8);
  REQUIRE(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0) == cudaSuccess);
  REQUIRE(value == 166912);
  float* x = deviceFloats(kThreads);
  return launch(addOneKernel, 2, 2, 0, nullptr, x, x) == cudaErrorInvalidValue;
}
inline bool noDevice() {
  setenv("TURNWISE_EMULATION_DEVICE", "none", 1);
  int count = 5;
  void* memory = nullptr;
  REQUIRE(cudaGetDeviceCount(&count) == cudaErrorNoDevice && count == 0);
  return cudaMalloc(&memory, 4) == cudaErrorNoDevice;
}
inline bool oldDriver() {
  setenv("TURNWISE_EMULATION_DEVICE", "old-driver", 1);
  int count = 5;
  return cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver;
}

inline bool plannedFailures() {
  float *x = deviceFloats(kThreads), *y = nullptr;
  emulatedFailNext(cudaErrorMemoryAllocation, 1);
  REQUIRE(cudaMalloc(&y, 4) == cudaSuccess && cudaMalloc(&y, 4) == cudaErrorMemoryAllocation);
  REQUIRE(cudaMalloc(&y, 4) == cudaSuccess);
  emulatedFailNext(cudaErrorIllegalAddress, 0);
  REQUIRE(launch(addOneKernel, 1, 1, 0, nullptr, x, x) == cudaErrorIllegalAddress);
  REQUIRE(cudaStreamSynchronize(nullptr) == cudaErrorIllegalAddress && cudaFree(x) == cudaErrorIllegalAddress);
  return cudaGetLastError() == cudaErrorIllegalAddress && cudaGetLastError() == cudaErrorIllegalAddress;
}

/// Two branches, captured from two streams, and launched twice.
template <bool kBug>
bool graphs() {
  cudaStream_t main, side;
  cudaEvent_t forked, joined;
  cudaStreamCreateWithFlags(&main, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking);
  cudaEventCreateWithFlags(&forked, cudaEventDisableTiming);
  cudaEventCreateWithFlags(&joined, cudaEventDisableTiming);
  float *x = deviceFloats(kThreads), *y = deviceFloats(kThreads, false), *z = deviceFloats(kThreads, false);
  REQUIRE(cudaStreamBeginCapture(main, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  launch(addOneKernel, 1, 1, 0, main, x, x);
  cudaEventRecord(forked, main);
  cudaStreamWaitEvent(side, forked, 0);
  launch(addOneKernel, 1, 1, 0, side, x, y);
  cudaEventRecord(joined, side);
  if (!kBug) cudaStreamWaitEvent(main, joined, 0);
  launch(addOneKernel, 1, 1, 0, main, y, z);
  if (kBug) cudaStreamWaitEvent(main, joined, 0);
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  REQUIRE(cudaStreamEndCapture(main, &graph) == cudaSuccess);
  size_t nodes = 0;
  REQUIRE(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess && nodes == 3);
  REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess && cudaGraphDestroy(graph) == cudaSuccess);
  REQUIRE(cudaGraphLaunch(executable, main) == cudaSuccess);
  if (!kBug) REQUIRE(cudaGraphLaunch(executable, main) == cudaSuccess);
  REQUIRE(cudaGraphExecDestroy(executable) == cudaSuccess && cudaStreamQuery(main) == cudaErrorNotReady);
  REQUIRE(cudaStreamSynchronize(main) == cudaSuccess && cudaStreamQuery(main) == cudaSuccess);
  REQUIRE(isRamp(download(z, kThreads), kBug ? 3 : 4));
  if (kBug) return true;
  const EmulatedCounters counters = emulatedCounters();
  REQUIRE(counters.kernelLaunches == 0 && counters.kernelsRun == 6);
  REQUIRE(counters.graphLaunches == 2 && counters.graphInstantiations == 1);
  return true;
}

inline bool captureRules() {
  cudaStream_t main, side;
  cudaEvent_t forked;
  void* memory;
  cudaGraph_t graph;
  cudaStreamCreateWithFlags(&main, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking);
  cudaEventCreateWithFlags(&forked, cudaEventDisableTiming);
  float* x = deviceFloats(kThreads);
  cudaStreamBeginCapture(main, cudaStreamCaptureModeThreadLocal);
  REQUIRE(cudaMalloc(&memory, 4) == cudaErrorStreamCaptureUnsupported);
  REQUIRE(cudaStreamEndCapture(main, &graph) == cudaErrorStreamCaptureInvalidated);
  cudaStreamBeginCapture(main, cudaStreamCaptureModeThreadLocal);
  cudaEventRecord(forked, main);
  cudaStreamWaitEvent(side, forked, 0);
  launch(addOneKernel, 1, 1, 0, side, x, x);
  REQUIRE(cudaStreamEndCapture(main, &graph) == cudaErrorStreamCaptureUnjoined);
  return cudaStreamSynchronize(side) == cudaSuccess && isRamp(download(x, kThreads));
}

/// A host function runs though nobody waits for its stream, after what was before it, and must not call CUDA.
inline bool hostFunctions() {
  static std::atomic<int> answer{-1};
  float* x = deviceFloats(kThreads);
  launch(addOneKernel, 1, 1, 0, nullptr, x, x);
  cudaLaunchHostFunc(
      nullptr, [](void*) { answer = cudaDeviceSynchronize(); }, nullptr);
  while (answer < 0) std::this_thread::yield();
  REQUIRE(answer == cudaErrorNotPermitted && emulatedCounters().kernelsRun == 1);
  return true;
}

/// Several host threads, each with a stream, as Node's workers are.
inline bool hostThreads() {
  std::atomic<int> right{0};
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 4; ++worker)
    workers.emplace_back([&right] {
      cudaStream_t stream;
      cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
      float* x = deviceFloats(kThreads);
      for (int i = 0; i < 5; ++i) launch(addOneKernel, 1, 1, 0, stream, x, x);
      cudaStreamSynchronize(stream);
      right += isRamp(download(x, kThreads), 5);
      cudaFree(x);
      cudaStreamDestroy(stream);
    });
  for (std::thread& worker : workers) worker.join();
  return right == 4;
}

inline bool conversions() {
  REQUIRE(packBf16(1.0f, -2.0f) == 0xc0003f80 && packBf16(1.00390625f, 1.01171875f) == 0x3f823f80);
  REQUIRE(packF16(1.0f, -2.0f) == 0xc0003c00 && packF16(65519.0f, 65520.0f) == 0x7c007bff);
  REQUIRE(packF16(0x1p-24f, 0x1p-25f) == 1 && packF16(0x1.8p-25f, 0x1.ff8p-15f) == 0x03ff0001);
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) REQUIRE(packF16(f16ToFloat(static_cast<uint16_t>(bits)), 0) == bits);
  REQUIRE(std::isnan(f16ToFloat(0x7e00)) && f16ToFloat(0xfc00) == -INFINITY);
  REQUIRE(exp2Approx(-126.0f) == 0x1p-126f && exp2Approx(-126.5f) == 0 && exp2Approx(3.0f) == 8);
  REQUIRE(min(3, 4u) == 3 && max(NAN, 1.0f) == 1 && max(1.0f, 2.0) == 2.0 && __clz(1) == 31 && __clz(0) == 32);
  REQUIRE(__funnelshift_r(0x12345678, 0x9abcdef0, 8) == 0xf0123456 && __ffs(8) == 4 && __popc(255) == 8);
  unsigned long long word = 5;
  REQUIRE(atomicMin(&word, 3) == 5 && atomicMax(&word, 9) == 3 && atomicAdd(&word, 1) == 9 && word == 10);
  REQUIRE(atomicCAS(&word, 10, 7) == 10 && atomicExch(&word, 1) == 7 && atomicOr(&word, 6) == 1 && word == 7);
  return true;
}

inline void shufflesKernel(double* x) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  double right = __shfl_down_sync(0xffffffff, double(lane), 1) == (lane < 31 ? lane + 1 : lane);
  right += __shfl_up_sync(0xffffffff, lane, 2) == (lane >= 2 ? lane - 2 : lane);
  right += __shfl_sync(0xffffffff, 0x100000000ull + static_cast<uint64_t>(lane), 5) == 0x100000005ull;
  right += __shfl_xor_sync(0xffffffff, lane, 3, 4) == (lane ^ 3);
  right += __any_sync(0xffffffff, lane == 7) == 1 && __all_sync(0xffffffff, lane < 31) == 0;
  // Lane 40 is not there: 40 threads are a warp and a quarter.
  right += threadIdx.x < 32 || __shfl_sync(0xffffffff, lane, 8) == -1;
  x[threadIdx.x] = right;
}
inline bool shuffles() {
  double* x = nullptr;
  cudaMalloc(&x, 40 * sizeof(double));
  const cudaLaunchConfig_t config{dim3(1), dim3(40), 0, nullptr, nullptr, 0};
  REQUIRE(cudaLaunchKernelEx(&config, shufflesKernel, x) == cudaSuccess);
  std::vector<double> got(40);
  cudaMemcpy(got.data(), x, 40 * sizeof(double), cudaMemcpyDeviceToHost);
  for (size_t thread = 0; thread < 32; ++thread) REQUIRE(got[thread] == 6);
  return true;
}
