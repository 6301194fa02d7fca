// Runs the threads of a kernel: who goes on, who waits for whom, and what cannot go on at all.
#pragma once
#include "blocks.h"

namespace turnwise::emulation {

inline void enter(Thread& thread) {
  running = &thread;
  threadIdx = thread.position;
  blockIdx = thread.block->position;
  ++cluster->switches;
}

inline void wake(Thread& thread) {
  thread.waiting = Waiting::no;
  cluster->ready.add(thread.index);
}

/// Nobody can go on: who waits where, by place.
[[noreturn]] inline void reportDeadlock() {
  struct Place {
    Waiting kind;
    Where where;
    unsigned count;
    const Thread* first;
  };
  std::vector<Place> places;
  unsigned exited = 0;
  for (unsigned index = 0; index < cluster->size * cluster->blockThreads; ++index) {
    const Thread& thread = cluster->thread(index);
    if (thread.finished) {
      ++exited;
      continue;
    }
    const auto same = [&](const Place& place) { return place.kind == thread.waiting && place.where == thread.where; };
    const auto place = std::find_if(places.begin(), places.end(), same);
    if (place == places.end()) {
      places.push_back({thread.waiting, thread.where, 1, &thread});
    } else {
      ++place->count;
    }
  }
  std::fprintf(stderr, "emulated CUDA: deadlock, a divergent barrier or bytes that never arrive:\n");
  for (const Place& place : places) {
    std::fprintf(stderr, "  %u threads wait at %s, %s:%d, the first is %s", place.count,
                 kWaitingNames[static_cast<int>(place.kind)], place.where.file, place.where.line,
                 Name(*place.first).text);
    if (place.first->waiting == Waiting::bytes)
      std::fprintf(stderr, " (%llu bytes in flight, %llu expected)",
                   static_cast<unsigned long long>(place.first->transfer->inFlight),
                   static_cast<unsigned long long>(place.first->transfer->expected));
    std::fputc('\n', stderr);
  }
  fail("%u threads have exited", exited);
}

/// Lets the next one run; returns when this thread's turn has come again.
inline void giveWay() {
  Thread& self = *running;
  const long next = cluster->ready.take();
  if (next < 0) reportDeadlock();
  Thread& thread = cluster->thread(next);
  if (&thread == &self) return;
  enter(thread);
  switchFibers(self.fiber, thread.fiber);
}

inline void waitAt(Waiting kind, Where where) {
  running->waiting = kind;
  running->where = where;
}

// ------------------------------------------------------------------------------------- barriers of block and cluster

inline void completeBlock(Block& block) {
  if (block.arrived == 0 || block.arrived < block.alive) return;
  block.arrived = 0;
  ++block.generation;
  for (unsigned rank = 0; rank < block.count; ++rank)
    if (block.threads[rank].waiting == Waiting::syncThreads) wake(block.threads[rank]);
}

inline void completeCluster() {
  if (cluster->arrived == 0 || cluster->arrived < cluster->alive) return;
  cluster->arrived = 0;
  ++cluster->generation;
  for (unsigned index = 0; index < cluster->size * cluster->blockThreads; ++index)
    if (cluster->thread(index).waiting == Waiting::clusterSync) wake(cluster->thread(index));
}

/// Threads that wait for one another at different places of the source do so by accident.
inline void samePlace(const char* name, unsigned arrived, Where& place, Where where) {
  if (arrived > 0 && !(place == where))
    fail("divergent barrier: %s waits at %s, %s:%d, while %u threads wait at %s:%d", Name(*running).text, name,
         where.file, where.line, arrived, place.file, place.line);
  place = where;
}

inline void syncBlock(Where where) {
  Quiet quiet;
  Block& block = *running->block;
  samePlace("__syncthreads", block.arrived, block.barrier, where);
  char* tag = &block.tags[block.generation & 1];
  release(tag);
  ++block.arrived;
  waitAt(Waiting::syncThreads, where);
  completeBlock(block);
  giveWay();
  acquire(tag);
}

inline void syncCluster(Where where) {
  Quiet quiet;
  samePlace("clusterSync", cluster->arrived, cluster->barrier, where);
  char* tag = &cluster->tags[cluster->generation & 1];
  release(tag);
  ++cluster->arrived;
  waitAt(Waiting::clusterSync, where);
  completeCluster();
  giveWay();
  acquire(tag);
}

// ------------------------------------------------------------------------------------------------------- warps

/// What each lane receives when all have come. A lane that reads from one that takes no part gets poison.
inline void exchange(Thread* lanes, uint32_t members, Waiting kind) {
  uint64_t votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if (members >> lane & 1 && lanes[lane].offered != 0) votes |= uint64_t{1} << lane;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!(members >> lane & 1)) continue;
    if (kind == Waiting::shuffle) {
      const unsigned source = lanes[lane].source;
      lanes[lane].received = members >> source & 1 ? lanes[source].offered : ~uint64_t{0};
    } else {
      lanes[lane].received = votes;
    }
  }
}

/// Ends the meetings at which nobody is missing any more.
inline void completeWarp(Warp& warp, Thread* lanes) {
  for (size_t i = 0; i < warp.meetings.size();) {
    const Meeting meeting = warp.meetings[i];
    if (meeting.arrived != (meeting.mask & warp.alive)) {
      ++i;
      continue;
    }
    warp.meetings.erase(warp.meetings.begin() + static_cast<long>(i));
    if (meeting.kind == Waiting::syncWarp) {
      ++warp.generation;
    } else {
      exchange(lanes, meeting.arrived, meeting.kind);
    }
    for (unsigned lane = 0; lane < 32; ++lane)
      if (meeting.arrived >> lane & 1) wake(lanes[lane]);
  }
}

inline void meetWarp(uint32_t mask, Waiting kind, Where where) {
  Thread& self = *running;
  if (!(mask >> self.lane() & 1))
    fail("%s, lane %u, is not in its own mask 0x%08x of %s, %s:%d", Name(self).text, self.lane(), mask,
         kWaitingNames[static_cast<int>(kind)], where.file, where.line);
  Warp& warp = self.block->warpOf(self);
  auto meeting = std::find_if(warp.meetings.begin(), warp.meetings.end(),
                              [&](const Meeting& other) { return other.mask == mask && other.kind == kind; });
  if (meeting == warp.meetings.end())
    meeting = warp.meetings.insert(meeting, {mask, kind, 0, &warp.tags[warp.generation & 1]});
  char* const tag = meeting->tag;
  if (kind == Waiting::syncWarp) release(tag);
  meeting->arrived |= 1u << self.lane();
  waitAt(kind, where);
  if (meeting->arrived == (mask & warp.alive)) completeWarp(warp, &self - self.lane());
  giveWay();
  if (kind == Waiting::syncWarp) acquire(tag);
}

inline void syncWarp(uint32_t mask, Where where) {
  Quiet quiet;
  meetWarp(mask, Waiting::syncWarp, where);
}

/// Values travel, and order nothing: a shuffle is no barrier for memory.
inline uint64_t shuffle(uint32_t mask, uint64_t value, unsigned source, Where where) {
  Quiet quiet;
  running->offered = value;
  running->source = source;
  meetWarp(mask, Waiting::shuffle, where);
  return running->received;
}

inline uint32_t vote(uint32_t mask, bool value, Where where) {
  Quiet quiet;
  running->offered = value;
  meetWarp(mask, Waiting::vote, where);
  return static_cast<uint32_t>(running->received);
}

}  // namespace turnwise::emulation
