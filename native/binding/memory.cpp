#include "memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#if defined(_WIN32)
#define NOMINMAX
#include <malloc.h>
#include <windows.h>
#else
#include <sys/mman.h>
#endif

namespace turnwise::binding {

namespace {

constexpr size_t kAlignment = 64;
/// From here on pages come from the system, which zeroes and commits them at first touch; smaller blocks share the
/// heap.
constexpr size_t kMapFrom = size_t{1} << 18;

void* allocateZeroed(size_t bytes) {
  void* data = nullptr;
#if defined(_WIN32)
  data = bytes >= kMapFrom ? VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)
                           : _aligned_malloc(bytes, kAlignment);
#else
  if (bytes >= kMapFrom) {
    data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) data = nullptr;
  } else if (posix_memalign(&data, kAlignment, bytes) != 0) {
    data = nullptr;
  }
#endif
  if (!data) throw std::bad_alloc();
  if (bytes < kMapFrom) std::memset(data, 0, bytes);
  return data;
}

void freeZeroed(void* data, size_t bytes) {
#if defined(_WIN32)
  if (bytes >= kMapFrom) {
    VirtualFree(data, 0, MEM_RELEASE);
  } else {
    _aligned_free(data);
  }
#else
  if (bytes >= kMapFrom) {
    munmap(data, bytes);
  } else {
    std::free(data);
  }
#endif
}

struct Entry {
  std::weak_ptr<Block> block;
  BlockRef heldByJs;
};

struct Registry {
  std::mutex mutex;
  std::map<uintptr_t, Entry> byAddress;
  size_t bytes = 0;
};

/// Never destroyed: threads that outlive main() may still give blocks back.
Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

uintptr_t addressOf(const void* data) {
  return reinterpret_cast<uintptr_t>(data);
}

}  // namespace

Block::Block(size_t bytes) : bytes_(bytes), data_(allocateZeroed(bytes)) {}

Block::~Block() {
  Registry& known = registry();
  {
    // Forgotten before it is freed: afterwards another block may get the same address.
    std::lock_guard<std::mutex> lock(known.mutex);
    if (known.byAddress.erase(addressOf(data_))) known.bytes -= bytes_;
  }
  freeZeroed(data_, bytes_);
}

BlockRef allocateBlock(size_t bytes) {
  auto block = std::make_shared<Block>(bytes);
  Registry& known = registry();
  std::lock_guard<std::mutex> lock(known.mutex);
  known.byAddress[addressOf(block->data())] = {block, block};
  known.bytes += bytes;
  return block;
}

BlockRef findBlock(const void* data, size_t bytes) {
  Registry& known = registry();
  BlockRef block;  // outlives the lock: it may turn out to be the last reference, and ~Block locks
  std::lock_guard<std::mutex> lock(known.mutex);
  auto after = known.byAddress.upper_bound(addressOf(data));
  if (after == known.byAddress.begin()) return nullptr;
  block = std::prev(after)->second.block.lock();
  if (!block) return nullptr;
  const uintptr_t offset = addressOf(data) - addressOf(block->data());
  const bool inside = offset <= block->bytes() && bytes <= block->bytes() - offset;
  return inside ? block : nullptr;
}

void dropJsHold(const Block& block) {
  Registry& known = registry();
  BlockRef dropped;  // outlives the lock, as above
  std::lock_guard<std::mutex> lock(known.mutex);
  auto entry = known.byAddress.find(addressOf(block.data()));
  if (entry != known.byAddress.end()) dropped.swap(entry->second.heldByJs);
}

size_t liveBytes() {
  Registry& known = registry();
  std::lock_guard<std::mutex> lock(known.mutex);
  return known.bytes;
}

}  // namespace turnwise::binding
