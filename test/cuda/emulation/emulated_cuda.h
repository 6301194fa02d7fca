// CUDA for machines without a GPU: with this directory on the include path, g++ compiles the kernels and the host code
// of cuda/ as they are and runs them on the CPU.
//
//   g++ -std=c++17 -I test/cuda/emulation -x c++ cuda/<name>.cu ...
//
// Every CUDA thread is a fiber; blocks of a cluster run together, clusters one after another. What the hardware may do
// late happens as late as possible here, and what it leaves undefined is poison or an abort that says where:
//
//   fibers.h        stacks, the change between them, what the sanitizers are told
//   schedule.h      which thread runs next: TURNWISE_EMULATION_SCHEDULE
//   blocks.h        threads, warps, blocks, shared memory
//   scheduler.h     barriers, shuffles, deadlocks
//   kernel.h        one kernel from its first block to its last
//   bulk_copies.h   clusters, bulk copies and transfer barriers of cuda/device/platform.cuh
//   half_floats.h   its conversions
//   device_names.h  CUDA's names for device code
//   memory.h        device and pinned memory
//   streams.h       deferred work: streams, events, graphs
//   device.h        the device: TURNWISE_EMULATION_DEVICE, _SHARED, _MEMORY; emulatedFailNext(), emulatedCounters()
//   *_api.h         the runtime API
//
// Not emulated: the memory model between threads that no barrier orders (TSan reports those), proxies and fences, bank
// conflicts, time.
#pragma once
#include "bulk_copies.h"
#include "device_names.h"
#include "half_floats.h"
#include "launch_api.h"
#include "memory_api.h"
#include "stream_api.h"
