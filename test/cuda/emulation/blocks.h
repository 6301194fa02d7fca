// The threads, warps and blocks of one cluster: what they are, where they wait, and the memory they share.
#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "fibers.h"
#include "schedule.h"

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned columns = 1, unsigned rows = 1, unsigned layers = 1) : x(columns), y(rows), z(layers) {}
};

// The kernel's own view of where it is; set at every change of thread.
inline uint3 threadIdx;
inline uint3 blockIdx;
inline dim3 blockDim;
inline dim3 gridDim;
constexpr int warpSize = 32;

namespace turnwise::emulation {

constexpr unsigned char kPoison = 0xff;  // NaN as float and double, -1 as an index
constexpr unsigned kMaxThreads = 1024;
constexpr unsigned kMaxCluster = 8;
constexpr unsigned kMaxWarps = kMaxThreads / 32;
constexpr size_t kMaxShared = 256 << 10;

/// Where in the kernel's source.
struct Where {
  const char* file;
  int line;
  bool operator==(const Where& other) const { return line == other.line && std::strcmp(file, other.file) == 0; }
};

enum class Waiting : unsigned char { no, syncThreads, syncWarp, shuffle, vote, clusterSync, bytes };
constexpr const char* kWaitingNames[] = {"nothing",         "__syncthreads", "__syncwarp", "a shuffle",
                                         "a warp's ballot", "clusterSync",   "waitBytes"};

struct BulkStore {
  unsigned char* to;
  const unsigned char* from;
  uint32_t bytes;
  std::vector<unsigned char> read;  // of shared memory, once the thread has waited for that
};
struct BulkStoreGroup {
  std::vector<BulkStore> stores;
  bool read = false;
};

struct BulkLoad {
  unsigned char* to;
  const unsigned char* from;
  uint32_t bytes;
};
/// What a TransferBarrier counts. The bytes arrive when the first thread waits for them, so that whoever forgets to
/// wait reads poison.
struct Transfer {
  uint64_t phase = 0;  // of which the earlier ones are complete
  bool expecting = false;
  uint64_t expected = 0;
  uint64_t inFlight = 0;
  std::vector<BulkLoad> loads;
  std::vector<uint64_t> seen;  // per thread: the phase it knows to have begun
  char tags[2] = {};
  bool complete() const { return expecting && expected == inFlight; }
};

struct Block;

struct Thread {
  Fiber fiber;
  Block* block = nullptr;
  unsigned rank = 0;   // in the block
  unsigned index = 0;  // in the cluster
  uint3 position{};
  bool finished = false;

  Waiting waiting = Waiting::no;
  Where where{};
  const Transfer* transfer = nullptr;

  uint64_t offered = 0;  // to the other lanes, by a shuffle or a vote
  unsigned source = 0;
  uint64_t received = 0;

  std::vector<BulkStoreGroup> storeGroups;
  BulkStoreGroup openGroup;

  unsigned lane() const { return rank % 32; }
};

/// Lanes of a warp that meet at the same kind of operation with the same mask.
struct Meeting {
  uint32_t mask;
  Waiting kind;
  uint32_t arrived;
  char* tag;
};
struct Warp {
  uint32_t alive = 0;
  std::vector<Meeting> meetings;
  uint64_t generation = 0;
  char tags[2] = {};
};

struct Block {
  uint3 position{};
  unsigned rank = 0;  // in the cluster
  Thread* threads = nullptr;
  unsigned count = 0;
  unsigned alive = 0;
  unsigned arrived = 0;
  Where barrier{};
  uint64_t generation = 0;
  char tags[2] = {};  // a thread can be one barrier ahead of one that has yet to continue from the last
  Warp warps[kMaxWarps];
  unsigned char* shared = nullptr;
  size_t sharedBytes = 0;
  std::map<const void*, std::unique_ptr<Transfer>> transfers;

  Warp& warpOf(const Thread& thread) { return warps[thread.rank / 32]; }
  bool owns(const void* address, size_t bytes) const {
    const auto* first = static_cast<const unsigned char*>(address);
    return first >= shared && first <= shared + sharedBytes && bytes <= size_t(shared + sharedBytes - first);
  }
};

/// Shared memory of exactly the asked size for each block of a cluster. ASan watches the end; without it, the memory
/// ends (but for alignment) at a page that nobody may touch, and is itself out of reach once its block has exited.
class SharedMemory {
 public:
  void give(Block& block, size_t bytes) {
    block.sharedBytes = bytes;
    if constexpr (TURNWISE_EMULATION_ASAN || TURNWISE_EMULATION_TSAN) {
      void* memory = nullptr;
      if (posix_memalign(&memory, 128, bytes) != 0) fail("no memory for shared memory");
      block.shared = static_cast<unsigned char*>(memory);
    } else {
      unsigned char*& slot = slots_[block.rank];
      if (slot == nullptr)
        slot = static_cast<unsigned char*>(
            mmap(nullptr, kMaxShared + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
      if (slot == MAP_FAILED) fail("no address space for shared memory");
      protect(block.rank, PROT_READ | PROT_WRITE);
      block.shared = slot + kPage + kMaxShared - (bytes + 127) / 128 * 128;
    }
    std::memset(block.shared, kPoison, bytes);
  }

  /// All threads of the block have exited, and perhaps others of its cluster have not.
  void close(Block& block) {
    if constexpr (TURNWISE_EMULATION_ASAN) {
      std::free(block.shared);
    } else if constexpr (!TURNWISE_EMULATION_TSAN) {
      protect(block.rank, PROT_NONE);
    }
  }

  /// The cluster has exited.
  void takeBack(Block& block) {
    if constexpr (TURNWISE_EMULATION_TSAN) std::free(block.shared);
    block.shared = nullptr;
  }

  /// Which block's memory the address lies in or beside, or -1.
  int slotOf(const void* address) const {
    const auto* byte = static_cast<const unsigned char*>(address);
    for (unsigned rank = 0; rank < kMaxCluster; ++rank)
      if (slots_[rank] != nullptr && byte >= slots_[rank] && byte < slots_[rank] + kMaxShared + 2 * kPage)
        return static_cast<int>(rank);
    return -1;
  }

 private:
  void protect(unsigned rank, int rights) {
    if (rights_[rank] == rights) return;
    rights_[rank] = rights;
    mprotect(slots_[rank] + kPage, kMaxShared, rights);
  }

  unsigned char* slots_[kMaxCluster] = {};
  int rights_[kMaxCluster] = {};  // PROT_NONE is 0
};

/// The cluster that runs. There is one at a time, whatever host thread runs it.
struct Cluster {
  Stacks stacks;
  SharedMemory sharedMemory;
  std::unique_ptr<Thread[]> threads[kFiberSets][kMaxCluster];  // kMaxThreads each, made when first needed
  size_t set = 0;                                              // of which the threads are
  std::unique_ptr<Block> blocks[kMaxCluster];
  unsigned size = 0;
  unsigned blockThreads = 0;
  unsigned alive = 0;
  unsigned arrived = 0;
  Where barrier{};
  uint64_t generation = 0;
  char* tags = nullptr;  // two
  ReadySet ready;
  Fiber host;
  void (*body)(const void*) = nullptr;
  const void* arguments = nullptr;
  char* startTag = nullptr;
  char* endTag = nullptr;
  uint64_t switches = 0;

  Thread& thread(size_t index) { return threads[set][index / blockThreads][index % blockThreads]; }
};

// Made on first use and never destroyed: a host thread may still run a kernel while the process ends.
inline Cluster* cluster = nullptr;
/// The CUDA thread that runs now, null in host code.
inline Thread* running = nullptr;

/// "thread 3 of block 7" for messages. Threads with more than one dimension are counted along x, then y, then z.
struct Name {
  char text[96];
  explicit Name(const Thread& thread) {
    const uint3& at = thread.block->position;
    if (gridDim.y == 1 && gridDim.z == 1) {
      std::snprintf(text, sizeof text, "thread %u of block %u", thread.rank, at.x);
    } else {
      std::snprintf(text, sizeof text, "thread %u of block (%u, %u, %u)", thread.rank, at.x, at.y, at.z);
    }
  }
};

}  // namespace turnwise::emulation
