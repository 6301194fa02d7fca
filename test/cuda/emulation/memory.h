// Device memory, and pinned host memory.
//
// Without a sanitizer, device memory is out of reach except while emulated device work runs, so that host code that
// dereferences a device pointer faults at once. Under a sanitizer each allocation is one of malloc's, of exact size.
#pragma once
#include <signal.h>
#include <sys/mman.h>

#include <iterator>
#include <map>

#include "blocks.h"

namespace turnwise::emulation {

class Memory {
 public:
  enum class Kind { device, pinned };
  struct Allocation {
    size_t bytes;
    Kind kind;
  };

  void limit(size_t bytes) { capacity_ = bytes; }
  size_t capacity() const { return capacity_; }
  size_t used() const { return used_; }

  /// Null where `bytes` more do not fit. Contents are poison.
  void* allocate(size_t bytes, Kind kind) {
    if (kind == Kind::device && bytes > capacity_ - used_) return nullptr;
    void* memory = nullptr;
    if (kind == Kind::device && kArena) {
      memory = take((bytes + kAlignment - 1) / kAlignment * kAlignment);
    } else if (posix_memalign(&memory, kAlignment, bytes) != 0) {
      memory = nullptr;
    }
    if (memory == nullptr) return nullptr;
    if (kind == Kind::device) used_ += bytes;
    open();
    std::memset(memory, kPoison, bytes);
    close();
    allocations_[static_cast<unsigned char*>(memory)] = {bytes, kind};
    return memory;
  }

  bool release(void* memory, Kind kind) {
    const auto found = allocations_.find(static_cast<unsigned char*>(memory));
    if (found == allocations_.end() || found->second.kind != kind) return false;
    const size_t bytes = found->second.bytes;
    allocations_.erase(found);
    if (kind == Kind::device) used_ -= bytes;
    if (kind == Kind::device && kArena) {
      giveBack(static_cast<unsigned char*>(memory), (bytes + kAlignment - 1) / kAlignment * kAlignment);
    } else {
      std::free(memory);
    }
    return true;
  }

  /// The allocation in which all these bytes lie, or null.
  const Allocation* find(const void* address, size_t bytes) const {
    auto* first = static_cast<unsigned char*>(const_cast<void*>(address));
    auto after = allocations_.upper_bound(first);
    if (after == allocations_.begin()) return nullptr;
    const auto& [start, allocation] = *std::prev(after);
    const size_t offset = static_cast<size_t>(first - start);
    if (offset > allocation.bytes || bytes > allocation.bytes - offset) return nullptr;
    return offset == allocation.bytes && bytes == 0 && offset != 0 ? nullptr : &allocation;
  }
  bool isDevice(const void* address, size_t bytes) const {
    const Allocation* found = find(address, bytes);
    return found != nullptr && found->kind == Kind::device;
  }
  /// Whether any byte of it is device memory.
  bool touchesDevice(const void* address, size_t bytes) const {
    auto* first = static_cast<unsigned char*>(const_cast<void*>(address));
    for (auto next = allocations_.lower_bound(first); next != allocations_.end() && next->first < first + bytes; ++next)
      if (next->second.kind == Kind::device) return true;
    return isDevice(address, 0);
  }

  /// Lets device memory be touched until as many have closed it.
  void open() {
    if (opened_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    if (--opened_ == 0) protect(PROT_NONE);
  }

  bool inArena(const void* address) const {
    const auto* byte = static_cast<const unsigned char*>(address);
    return arena_ != nullptr && byte >= arena_ && byte < arena_ + kArenaBytes;
  }

 private:
  static constexpr bool kArena = !TURNWISE_EMULATION_ASAN && !TURNWISE_EMULATION_TSAN;
  static constexpr size_t kArenaBytes = size_t{64} << 30;  // of address space
  static constexpr size_t kAlignment = 256;

  void protect(int rights) {
    if (top_ > arena_) mprotect(arena_, static_cast<size_t>(top_ - arena_), rights);
  }

  static void* reserve();

  unsigned char* take(size_t bytes) {
    if (bytes == 0) bytes = kAlignment;
    if (arena_ == nullptr) arena_ = top_ = static_cast<unsigned char*>(reserve());
    for (auto hole = holes_.begin(); hole != holes_.end(); ++hole) {
      auto [start, size] = *hole;
      if (size < bytes) continue;
      holes_.erase(hole);
      if (size > bytes) holes_[start + bytes] = size - bytes;
      return start;
    }
    // Above the top, by whole pages; what is left of the last page is a hole.
    const size_t pages = (bytes + kPage - 1) / kPage * kPage;
    if (pages > static_cast<size_t>(arena_ + kArenaBytes - top_)) return nullptr;
    unsigned char* start = top_;
    top_ += pages;
    if (opened_ > 0) mprotect(start, pages, PROT_READ | PROT_WRITE);
    if (pages > bytes) holes_[start + bytes] = pages - bytes;
    return start;
  }

  void giveBack(unsigned char* start, size_t bytes) {
    if (bytes == 0) bytes = kAlignment;
    open();
    std::memset(start, kPoison, bytes);
    close();
    auto next = holes_.lower_bound(start);
    if (next != holes_.end() && next->first == start + bytes) {
      bytes += next->second;
      next = holes_.erase(next);
    }
    if (next != holes_.begin() && std::prev(next)->first + std::prev(next)->second == start) {
      std::prev(next)->second += bytes;
    } else {
      holes_[start] = bytes;
    }
  }

  std::map<unsigned char*, Allocation> allocations_;
  std::map<unsigned char*, size_t> holes_;
  unsigned char* arena_ = nullptr;
  unsigned char* top_ = nullptr;
  size_t capacity_ = 0;
  size_t used_ = 0;
  int opened_ = 0;
};

inline Memory& memory = *new Memory;

inline struct sigaction handlerBefore;

/// Says which rule the address breaks, and leaves the rest to whoever handled faults before.
inline void explainFault(int, siginfo_t* info, void*) {
  const char* why = nullptr;
  if (memory.inArena(info->si_addr)) {
    why = running == nullptr ? "emulated CUDA: host code touched device memory\n"
                             : "emulated CUDA: a kernel touched device memory beyond the last allocation\n";
  } else if (cluster != nullptr && cluster->sharedMemory.slotOf(info->si_addr) >= 0) {
    why =
        "emulated CUDA: a thread touched memory beyond its block's shared memory, or that of a peer that has exited\n";
  }
  if (cluster != nullptr && cluster->stacks.isGuard(info->si_addr)) why = "emulated CUDA: a thread's stack is full\n";
  if (why != nullptr && write(STDERR_FILENO, why, std::strlen(why)) < 0) std::abort();
  sigaction(SIGSEGV, &handlerBefore, nullptr);
}

inline void* Memory::reserve() {
  void* arena = mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena == MAP_FAILED) fail("no address space for device memory");
  struct sigaction action = {};
  action.sa_sigaction = explainFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, &handlerBefore);
  return arena;
}

/// Faults are explained on a stack of their own: the thread's may be full. Once for each host thread.
inline void prepareForFaults() {
  if constexpr (TURNWISE_EMULATION_ASAN || TURNWISE_EMULATION_TSAN) return;
  stack_t now;
  if (sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;
  thread_local std::unique_ptr<unsigned char[]> memory;
  memory = std::make_unique<unsigned char[]>(64 << 10);
  stack_t stack = {};
  stack.ss_sp = memory.get();
  stack.ss_size = 64 << 10;
  sigaltstack(&stack, nullptr);
}

}  // namespace turnwise::emulation
