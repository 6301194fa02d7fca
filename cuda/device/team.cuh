// The threads of one cluster as a crew that works through whole arrays: what runs a program of many dependent passes
// over a few thousand to a few million small items in one kernel, with barriers of a microsecond in between.
//
// One cluster, not the whole device: its barrier is in hardware, its size is fixed, and a kernel launch for every pass
// would cost more than the passes. Everything collective is called by all threads of the cluster, in the same order.
// Nothing depends on the number of threads: sums are exact (native/math/reproducible_sum.h), sorting is stable.
#pragma once
#include "crew.cuh"

/// Of what programs of many passes do again and again: ptxas takes minutes over one that inlines it everywhere.
#define TURNWISE_NOT_INLINED __attribute__((noinline))

namespace turnwise::cuda {

class Team {
 public:
  static constexpr unsigned kMaxBlocks = 8;
  static constexpr unsigned kMaxWarps = 32;
  /// Threads of a block of teamGeometry at most: half of what a block may have, so that a thread may have 128
  /// registers.
  static constexpr unsigned kMostThreads = 512;
  static constexpr size_t kSlotBytes = 32;  // of one reduced value
  struct Shared {
    alignas(16) unsigned char warps[kMaxWarps][kSlotBytes];
    alignas(16) unsigned char blocks[2][kMaxBlocks][kSlotBytes];
  };
  /// At the start of the dynamic shared memory of a kernel that has a team.
  static constexpr size_t kSharedBytes = sizeof(Shared);

  /// A barrier: a block must have started before another writes into its shared memory.
  __device__ Team() : shared_(reinterpret_cast<Shared*>(sharedMemory())) { clusterSync(); }

  __device__ size_t rank() const { return size_t{clusterRank()} * blockDim.x + threadIdx.x; }
  __device__ size_t size() const { return size_t{clusterSize()} * blockDim.x; }
  /// What any member wrote before, every member sees after.
  __device__ void sync() const { clusterSync(); }

  /// each(i) for all i < n, spread over the members; not synchronised.
  template <class Each>
  __device__ void forEach(size_t n, const Each& each) const {
    for (size_t i = rank(); i < n; i += size()) each(i);
  }

  /// All members' values combined (see reduceWarp); `identity` changes nothing. Also a barrier.
  template <class T, class Combine>
  TURNWISE_NOT_INLINED __device__ T reduce(T value, const T& identity, const Combine& combine) const {
    static_assert(sizeof(T) <= kSlotBytes);
    value = reduceWarp(value, combine);
    const unsigned warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
    if (lane == 0) put(shared_->warps[warp], value);
    __syncthreads();
    unsigned char(*slots)[kSlotBytes] = nextSlots();
    if (warp == 0) {
      value = reduceWarp(lane < blockDim.x / kWarpSize ? get<T>(shared_->warps[lane]) : identity, combine);
      if (lane < clusterSize()) put(peerShared(&slots[clusterRank()][0], lane), value);
    }
    clusterSync();
    value = get<T>(slots[0]);
    for (unsigned block = 1; block < clusterSize(); ++block) value = combine(value, get<T>(slots[block]));
    return value;
  }

  __device__ double largest(double x) const { return reduce(x, double{Largest::identity}, Largest()); }
  __device__ double smallest(double x) const { return reduce(x, double{Smallest::identity}, Smallest()); }
  __device__ uint64_t sum(uint64_t count) const { return reduce(count, uint64_t{0}, Plus()); }
  __device__ bool all(bool flag) const { return sum(flag ? 0 : 1) == 0; }
  template <class Sum>
  __device__ Sum together(Sum sum) const {
    sum.setParts(reduce(sum.parts(), typename Sum::Parts{0, 0, 0}, Plus()));
    return sum;
  }

  /// The values of all members of lower rank combined, in the order of the members; `total` of all. `combine` is
  /// associative, `identity` changes nothing. Also a barrier.
  template <class T, class Combine>
  TURNWISE_NOT_INLINED __device__ T before(T value, const T& identity, const Combine& combine, T& total) const {
    static_assert(sizeof(T) <= kSlotBytes);
    const unsigned warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
    const T inWarp = inclusiveScanWarp(value, combine);
    const T upToLane = shuffleUp(inWarp, 1);
    if (lane == kWarpSize - 1) put(shared_->warps[warp], inWarp);
    __syncthreads();
    unsigned char(*slots)[kSlotBytes] = nextSlots();
    T inBlock = identity, ofBlock = identity;
    for (unsigned other = 0; other < blockDim.x / kWarpSize; ++other) {
      if (other == warp) inBlock = ofBlock;
      ofBlock = combine(ofBlock, get<T>(shared_->warps[other]));
    }
    if (lane > 0) inBlock = combine(inBlock, upToLane);
    if (threadIdx.x < clusterSize()) put(peerShared(&slots[clusterRank()][0], threadIdx.x), ofBlock);
    clusterSync();
    T ofEarlier = identity;
    total = identity;
    for (unsigned block = 0; block < clusterSize(); ++block) {
      if (block == clusterRank()) ofEarlier = total;
      total = combine(total, get<T>(slots[block]));
    }
    return combine(ofEarlier, inBlock);
  }

  /// The sum of the values of all members of lower rank; `total` of all. Also a barrier.
  __device__ uint64_t sumBefore(uint64_t value, uint64_t& total) const {
    return before(value, uint64_t{0}, Plus(), total);
  }

  /// A member's part of n items, where each has adjacent ones in the order of the members.
  struct Share {
    size_t first, end;
  };
  __device__ Share share(size_t n) const {
    const size_t each = (n + size() - 1) / size();
    const size_t first = rank() * each < n ? rank() * each : n;
    return {first, first + each < n ? first + each : n};
  }

  /// put(i, load(0) + ... + load(i - 1)) for all i < n; returns the sum of all. Synchronised before and after.
  template <class Load, class Put>
  __device__ uint64_t scan(size_t n, const Load& load, const Put& put) const {
    sync();
    const Share mine = share(n);
    uint64_t ofMine = 0;
    for (size_t i = mine.first; i < mine.end; ++i) ofMine += load(i);
    uint64_t total;
    uint64_t preceding = sumBefore(ofMine, total);
    for (size_t i = mine.first; i < mine.end; ++i) {
      const uint64_t value = load(i);  // before the put: both may be the same array
      put(i, preceding);
      preceding += value;
    }
    sync();
    return total;
  }

  /// Scratch of a sort of n items, in elements.
  static TURNWISE_HD size_t sortCounts(size_t members) { return kDigits * members; }

  /// Sorts the items order[0..n) by key(item), stably: by digits, the lowest first. `counts` has sortCounts(size())
  /// elements, `other` n. Synchronised before and after.
  template <class Key>
  __device__ void sort(size_t n, uint32_t* order, uint32_t* other, uint32_t* counts, const Key& key) const {
    sync();
    if (n <= kCountedItems) return sortByCounting(n, order, other, key);
    uint64_t anyBit = 0, allBits = ~uint64_t{0};
    forEach(n, [&](size_t i) {
      const uint64_t k = key(order[i]);
      anyBit |= k;
      allBits &= k;
    });
    const auto either = [](uint64_t a, uint64_t b) { return a | b; };
    const auto both = [](uint64_t a, uint64_t b) { return a & b; };
    anyBit = reduce(anyBit, uint64_t{0}, either);
    allBits = reduce(allBits, ~uint64_t{0}, both);
    const uint64_t differing = anyBit ^ allBits;
    uint32_t *from = order, *to = other;
    for (unsigned shift = 0; shift < 64; shift += kDigitBits) {
      if ((differing >> shift) % kDigits == 0) continue;
      sortDigit(n, from, to, counts,
                [&](uint32_t item) { return static_cast<unsigned>((key(item) >> shift) % kDigits); });
      uint32_t* const sorted = to;
      to = from;
      from = sorted;
    }
    if (from != order) forEach(n, [&](size_t i) { order[i] = from[i]; });
    sync();
  }

 private:
  static constexpr unsigned kDigitBits = 4;
  static constexpr unsigned kDigits = 1u << kDigitBits;

  template <class T>
  __device__ static void put(void* slot, const T& value) {
    *static_cast<T*>(slot) = value;
  }
  template <class T>
  __device__ static T get(const void* slot) {
    return *static_cast<const T*>(slot);
  }

  /// Two sets in turn: whoever is still reading the last round's values is not disturbed by the next, and nobody can be
  /// two rounds behind.
  __device__ unsigned char (*nextSlots() const)[kSlotBytes] {
    round_ ^= 1;
    return shared_->blocks[round_];
  }

  /// Few items are each their own member's, which compares it with all: two barriers instead of some for every digit.
  static constexpr size_t kCountedItems = 512;
  template <class Key>
  __device__ void sortByCounting(size_t n, uint32_t* order, uint32_t* other, const Key& key) const {
    forEach(n, [&](size_t i) {
      const uint64_t own = key(order[i]);
      size_t before = 0;
      for (size_t j = 0; j < n; ++j) {
        const uint64_t k = key(order[j]);
        before += k < own || (k == own && j < i);
      }
      other[before] = order[i];
    });
    sync();
    forEach(n, [&](size_t i) { order[i] = other[i]; });
    sync();
  }

  template <class Digit>
  __device__ void sortDigit(size_t n, const uint32_t* from, uint32_t* to, uint32_t* counts, const Digit& digit) const {
    const size_t members = size();
    const Share mine = share(n);
    uint32_t counted[kDigits] = {};
    for (size_t i = mine.first; i < mine.end; ++i) ++counted[digit(from[i])];
    for (unsigned d = 0; d < kDigits; ++d) counts[d * members + rank()] = counted[d];
    scan(
        kDigits * members, [&](size_t i) { return counts[i]; },
        [&](size_t i, uint64_t before) { counts[i] = static_cast<uint32_t>(before); });
    for (unsigned d = 0; d < kDigits; ++d) counted[d] = counts[d * members + rank()];
    for (size_t i = mine.first; i < mine.end; ++i) to[counted[digit(from[i])]++] = from[i];
    sync();
  }

  Shared* shared_;
  mutable unsigned round_ = 0;
};

}  // namespace turnwise::cuda
