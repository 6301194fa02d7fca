// Bulk copies between global and shared memory, and the rest of what cuda/device/platform.cuh has in PTX.
//
// A copy happens as late as the hardware may do it: a load when somebody waits for its bytes (until then its target is
// poison), a store's read of shared memory when its thread waits for that, its write when the thread waits for all or
// exits.
#pragma once
#include <cmath>

#include "device.h"
#include "kernel.h"

namespace turnwise::emulation {

/// Fails unless all that a bulk copy demands is so: of its kernel's device, its alignment and its two ends.
inline void checkBulkCopy(const char* name, const void* shared, const void* global, uint32_t bytes, Where where) {
  const auto wrong = [&](const char* what) {
    fail("%s: %s of %u bytes, shared %p, global %p: %s, %s:%d", Name(*running).text, name, bytes, shared, global, what,
         where.file, where.line);
  };
  if (device().capability < 90) wrong("this device has no bulk copies");
  if (bytes % 16 != 0 || bytes == 0 || reinterpret_cast<uintptr_t>(shared) % 16 != 0 ||
      reinterpret_cast<uintptr_t>(global) % 16 != 0)
    wrong("misaligned: both addresses and the size are multiples of 16");
  if (!running->block->owns(shared, bytes)) wrong("not within the block's shared memory");
  if (memory.find(global, bytes) == nullptr) wrong("not within one allocation of device memory");
}

constexpr uint64_t kInitialised = 0x7475726e77697365;

inline Transfer& transferOf(const void* barrier, uint64_t state, Where where) {
  const auto found = running->block->transfers.find(barrier);
  if (found == running->block->transfers.end() || state != kInitialised)
    fail("%s uses a TransferBarrier that nobody has initialised, or that was overwritten, %s:%d", Name(*running).text,
         where.file, where.line);
  return *found->second;
}

inline void wakeIfComplete(Transfer& transfer) {
  if (!transfer.complete()) return;
  Block& block = *running->block;
  for (unsigned rank = 0; rank < block.count; ++rank) {
    Thread& thread = block.threads[rank];
    if (thread.waiting == Waiting::bytes && thread.transfer == &transfer) wake(thread);
  }
}

inline void expect(Transfer& transfer, uint32_t bytes, Where where) {
  if (transfer.expecting)
    fail("%s expects bytes for the second time in one phase, %s:%d", Name(*running).text, where.file, where.line);
  if (transfer.inFlight > bytes)
    fail("%s expects %u bytes, but %llu are in flight, %s:%d", Name(*running).text, bytes,
         static_cast<unsigned long long>(transfer.inFlight), where.file, where.line);
  transfer.expecting = true;
  transfer.expected = bytes;
  release(&transfer.tags[transfer.phase & 1]);
  wakeIfComplete(transfer);
}

inline void startLoad(Transfer& transfer, void* to, const void* from, uint32_t bytes, Where where) {
  transfer.inFlight += bytes;
  if (transfer.expecting && transfer.inFlight > transfer.expected)
    fail("%s: %llu bytes are expected, but %llu are in flight, %s:%d", Name(*running).text,
         static_cast<unsigned long long>(transfer.expected), static_cast<unsigned long long>(transfer.inFlight),
         where.file, where.line);
  transfer.loads.push_back({static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), bytes});
}

/// The thread goes on when phase `parity` is over, or was over already and this is the first it hears of it.
inline void waitForPhase(Transfer& transfer, uint32_t parity, Where where) {
  transfer.seen.resize(running->block->count);
  char* const tag = &transfer.tags[parity & 1];
  while ((transfer.phase & 1) == parity) {
    if (transfer.complete()) {
      acquire(tag);
      for (const BulkLoad& load : transfer.loads) copyLoudly(load.to, load.from, load.bytes);
      release(tag);
      transfer.loads.clear();
      transfer.expecting = false;
      transfer.inFlight = 0;
      ++transfer.phase;
      break;
    }
    running->transfer = &transfer;
    waitAt(Waiting::bytes, where);
    giveWay();
  }
  uint64_t& seen = transfer.seen[running->rank];
  if (seen == transfer.phase)
    fail("%s waits with the wrong phase, %u: the barrier has completed %llu phases, and the thread knows, %s:%d",
         Name(*running).text, parity, static_cast<unsigned long long>(transfer.phase), where.file, where.line);
  seen = transfer.phase;
  acquire(tag);
}

/// Of the groups but the `pending` newest, shared memory is read now.
inline void readStores(size_t pending) {
  auto& groups = running->storeGroups;
  for (size_t i = 0; i + pending < groups.size(); ++i) {
    if (groups[i].read) continue;
    groups[i].read = true;
    for (BulkStore& store : groups[i].stores) {
      store.read.resize(store.bytes);
      copyLoudly(store.read.data(), store.from, store.bytes);
    }
  }
}

inline void writeStores() {
  for (BulkStoreGroup& group : running->storeGroups)
    for (BulkStore& store : group.stores) copyLoudly(store.to, store.read.data(), store.bytes);
  running->storeGroups.clear();
}

inline void finishTransfers(Thread& thread) {
  bool unread = !thread.openGroup.stores.empty();
  for (const BulkStoreGroup& group : thread.storeGroups) unread = unread || !group.read;
  if (unread) fail("%s exits with a bulk store for which it never waited", Name(thread).text);
  writeStores();
}

inline void finishTransfers(Block& block) {
  for (const auto& [barrier, transfer] : block.transfers)
    if (!transfer->loads.empty())
      fail("block %u exits with a bulk load for which nobody waited, to offset %td of its shared memory",
           block.position.x, transfer->loads[0].to - block.shared);
}

}  // namespace turnwise::emulation

// What platform.cuh declares, beginning with what the kernels' sources name.
namespace turnwise::cuda {

#define TURNWISE_WHERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

constexpr bool kHasClusters = true;

inline unsigned char* sharedMemory() {
  emulation::Quiet quiet;
  return emulation::running->block->shared;
}

inline float exp2Approx(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
}

inline float minNan(float a, float b) {
  return a != a || b != b ? NAN : b < a ? b : a;
}

// ------------------------------------------------------------------------------------------------------- clusters

inline unsigned clusterRank() {
  emulation::Quiet quiet;
  return emulation::running->block->rank;
}
inline unsigned clusterSize() {
  emulation::Quiet quiet;
  return emulation::cluster->size;
}
inline void clusterSync(TURNWISE_WHERE) {
  emulation::syncCluster({file, line});
}
template <class T>
inline T* peerShared(T* mine, unsigned rank, TURNWISE_WHERE) {
  emulation::Quiet quiet;
  const emulation::Block& block = *emulation::running->block;
  if (!block.owns(mine, 0)) emulation::fail("peerShared of what is not shared memory, %s:%d", file, line);
  if (rank >= emulation::cluster->size)
    emulation::fail("peerShared: no block %u in a cluster of %u, %s:%d", rank, emulation::cluster->size, file, line);
  const emulation::Block& peer = *emulation::cluster->blocks[rank];
  if (peer.alive == 0)
    emulation::fail("%s reaches for the shared memory of block %u, which has exited, %s:%d",
                    emulation::Name(*emulation::running).text, peer.position.x, file, line);
  return reinterpret_cast<T*>(peer.shared + (reinterpret_cast<const unsigned char*>(mine) - block.shared));
}

// ------------------------------------------------------------------------------------------------------- bulk copies

struct TransferBarrier {
  uint64_t state;
};

inline void initBarrier(TransferBarrier* barrier, TURNWISE_WHERE) {
  barrier->state = emulation::kInitialised;
  emulation::Quiet quiet;
  emulation::Block& block = *emulation::running->block;
  if (!block.owns(barrier, sizeof *barrier) || reinterpret_cast<uintptr_t>(barrier) % 8 != 0)
    emulation::fail("a TransferBarrier lies in shared memory, on 8 bytes, %s:%d", file, line);
  auto& transfer = block.transfers[barrier];
  if (transfer != nullptr && transfer->inFlight > 0)
    emulation::fail("a TransferBarrier is initialised while bytes are in flight, %s:%d", file, line);
  transfer = std::make_unique<emulation::Transfer>();
}
inline void expectBytes(TransferBarrier* barrier, uint32_t bytes, TURNWISE_WHERE) {
  const uint64_t state = barrier->state;
  emulation::Quiet quiet;
  emulation::expect(emulation::transferOf(barrier, state, {file, line}), bytes, {file, line});
}
inline void waitBytes(TransferBarrier* barrier, uint32_t phase, TURNWISE_WHERE) {
  const uint64_t state = barrier->state;
  emulation::Quiet quiet;
  emulation::waitForPhase(emulation::transferOf(barrier, state, {file, line}), phase, {file, line});
}
inline void bulkLoad(void* to, const void* from, uint32_t bytes, TransferBarrier* barrier, TURNWISE_WHERE) {
  const uint64_t state = barrier->state;
  {
    emulation::Quiet quiet;
    emulation::checkBulkCopy("bulkLoad", to, from, bytes, {file, line});
  }
  std::memset(to, emulation::kPoison, bytes);  // whoever still reads what was there reads too late
  emulation::Quiet quiet;
  emulation::Transfer& transfer = emulation::transferOf(barrier, state, {file, line});
  emulation::startLoad(transfer, to, from, bytes, {file, line});
  emulation::release(&transfer.tags[transfer.phase & 1]);
  emulation::wakeIfComplete(transfer);
}
inline void bulkStore(void* to, const void* from, uint32_t bytes, TURNWISE_WHERE) {
  emulation::Quiet quiet;
  emulation::checkBulkCopy("bulkStore", from, to, bytes, {file, line});
  emulation::running->openGroup.stores.push_back(
      {static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), bytes, {}});
}
inline void shareForBulkStore() {}
inline void commitBulkStores() {
  emulation::Quiet quiet;
  emulation::Thread& self = *emulation::running;
  self.storeGroups.push_back(std::move(self.openGroup));
  self.openGroup = {};
}
template <int kPending>
inline void waitBulkStoresRead() {
  emulation::Quiet quiet;
  emulation::readStores(kPending);
}
inline void waitBulkStores() {
  emulation::Quiet quiet;
  emulation::readStores(0);
  emulation::writeStores();
}

}  // namespace turnwise::cuda
