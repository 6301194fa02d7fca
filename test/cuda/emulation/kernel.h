// One kernel, from its first block to its last: clusters one after another, the blocks of a cluster together.
#pragma once
#include "memory.h"
#include "scheduler.h"

namespace turnwise::emulation {

struct Geometry {
  dim3 grid, block;
  unsigned cluster = 1;  // blocks, along x
  size_t sharedBytes = 0;
};

void finishTransfers(Thread& thread);
void finishTransfers(Block& block);

/// The thread's exit: who waited only for this one may go on. Returns where to go from here.
inline Fiber& leave(Thread& self) {
  Quiet quiet;
  finishTransfers(self);
  Block& block = *self.block;
  self.finished = true;
  release(cluster->endTag);
  --block.alive;
  --cluster->alive;
  Warp& warp = block.warpOf(self);
  warp.alive &= ~(1u << self.lane());
  completeWarp(warp, &self - self.lane());
  completeBlock(block);
  completeCluster();
  if (block.alive == 0) {
    finishTransfers(block);
    cluster->sharedMemory.close(block);
  }
  if (cluster->alive == 0) {
    running = nullptr;
    return cluster->host;
  }
  const long next = cluster->ready.take();
  if (next < 0) reportDeadlock();
  Thread& thread = cluster->thread(static_cast<size_t>(next));
  enter(thread);
  return thread.fiber;
}

inline void threadMain() {
  Thread& self = *running;
  arrived(self.fiber);
  for (;;) {  // the fiber's next kernel, or cluster, begins where the last one ended
    acquire(cluster->startTag);
    cluster->body(cluster->arguments);
    switchFibers(self.fiber, leave(self));
  }
}

inline void prepareThread(Thread& thread, Block& block, unsigned rank) {
  const unsigned index = block.rank * cluster->blockThreads + rank;
  if (thread.fiber.stack == nullptr) {
    const size_t number = (cluster->set * kMaxCluster + block.rank) * kMaxThreads + rank;
    prepareFiber(thread.fiber, cluster->stacks.at(number), threadMain);
  }
  thread.block = &block;
  thread.rank = rank;
  thread.index = index;
  thread.position = {rank % blockDim.x, rank / blockDim.x % blockDim.y, rank / blockDim.x / blockDim.y};
  thread.finished = false;
  thread.waiting = Waiting::no;
  thread.storeGroups.clear();
  thread.openGroup.stores.clear();
  cluster->ready.add(index);
}

inline void prepareBlock(unsigned rank, size_t sharedBytes) {
  cluster->blocks[rank] = std::make_unique<Block>();
  Block& block = *cluster->blocks[rank];
  block.rank = rank;
  auto& threads = cluster->threads[cluster->set][rank];
  if (threads == nullptr) threads = std::make_unique<Thread[]>(kMaxThreads);
  block.threads = threads.get();
  block.count = block.alive = cluster->blockThreads;
  for (unsigned warp = 0; warp * 32 < block.count; ++warp) {
    const unsigned lanes = std::min(32u, block.count - warp * 32);
    block.warps[warp].alive = static_cast<uint32_t>((uint64_t{1} << lanes) - 1);
  }
  cluster->sharedMemory.give(block, sharedBytes);
}

/// Runs the cluster whose first block has this number.
inline void runCluster(const Geometry& geometry, size_t firstBlock) {
  cluster->alive = cluster->size * cluster->blockThreads;
  cluster->arrived = 0;
  cluster->generation = 0;
  cluster->ready.clear(cluster->alive);
  // Of each cluster its own: what TSan knows of a tag ends with its memory.
  const auto tags = std::make_unique<char[]>(2);
  cluster->tags = tags.get();
  cluster->set = (cluster->set + 1) % kFiberSets;
  for (unsigned rank = 0; rank < cluster->size; ++rank) {
    prepareBlock(rank, geometry.sharedBytes);
    Block& block = *cluster->blocks[rank];
    const size_t number = firstBlock + rank;
    block.position = {static_cast<unsigned>(number % gridDim.x), static_cast<unsigned>(number / gridDim.x % gridDim.y),
                      static_cast<unsigned>(number / gridDim.x / gridDim.y)};
    for (unsigned i = 0; i < block.count; ++i) prepareThread(block.threads[i], block, i);
  }
  Thread& first = cluster->thread(static_cast<size_t>(cluster->ready.take()));
  enter(first);
  switchFibers(cluster->host, first.fiber);
  for (unsigned rank = 0; rank < cluster->size; ++rank) {
    Block& block = *cluster->blocks[rank];
    cluster->sharedMemory.takeBack(block);
    cluster->blocks[rank].reset();
  }
}

/// `body(arguments)` by every thread. The caller has checked the geometry and lets device memory be touched.
inline void runKernel(const Geometry& geometry, void (*body)(const void*), const void* arguments) {
  Quiet quiet;
  if (cluster == nullptr) cluster = new Cluster;
  schedule.refresh();
  prepareForFaults();
  gridDim = geometry.grid;
  blockDim = geometry.block;
  cluster->size = geometry.cluster;
  cluster->blockThreads = blockDim.x * blockDim.y * blockDim.z;
  cluster->body = body;
  cluster->arguments = arguments;
#if TURNWISE_EMULATION_TSAN
  cluster->host.identity = __tsan_get_current_fiber();
#endif
  // Ordered are the host's doings before the kernel and after it, not one cluster's with another's: those may well
  // race.
  const auto startTag = std::make_unique<char>();
  const auto endTag = std::make_unique<char>();
  cluster->startTag = startTag.get();
  cluster->endTag = endTag.get();
  release(startTag.get());
  const size_t clusters = size_t{gridDim.x} * gridDim.y * gridDim.z / cluster->size;
  for (size_t number : schedule.arrange(clusters)) runCluster(geometry, number * cluster->size);
  acquire(endTag.get());
}

}  // namespace turnwise::emulation
