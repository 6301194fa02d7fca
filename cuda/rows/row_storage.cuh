// Where a block's slice of a row is between its two uses.
//
//   ChipRows    sm_90 and newer: in the shared memory of the cluster, loaded by bulk copies. The next row's chunk is
//               requested as soon as all threads have had this row's.
//   PlainRows   one block a row, loaded by plain loads: kept in shared memory where it fits, else read a second time,
//               backwards, because what was read last is in the L2 cache.
//
// Both hand vector v of the slice, columns [v E, (v + 1) E), to thread v mod blockDim.x, wherever the row starts: so a
// row's bits do not depend on its address. The vector after the last whole one is filled up with -inf.
#pragma once
#include "row_parameters.h"
#include "running_sum.cuh"

namespace turnwise::cuda {

constexpr unsigned kNoRow = ~0u;

/// What a row's elements become.
enum class Write : uint32_t { nothing, zeros, nan, softmax, softmaxAndEntropy };

/// factor * 2^((z - base) k - shift), and with entropy times constant + linear x + quadratic x^2, x = z - base - near.
struct GradientRow {
  Write write = Write::nothing;
  uint32_t target = 0;
  float atTarget = 0;
  float base = 0, shift = 0, factor = 0;
  float near = 0, constant = 0, linear = 0, quadratic = 0;
  float floor = 0;  // z - base below it gives 0: kept finite, so that -inf does not meet the polynomial
};
/// Of a block, before its slice of the row.
struct RowShared {
  Partial warps[kMaxRowThreads / kWarpSize];
  Partial blocks[2][kMaxRowBlocks];  // for this row and the next
  GradientRow verdict;
  TransferBarrier barriers[kMaxRowChunks];

  __device__ static RowShared& ofBlock() { return *reinterpret_cast<RowShared*>(sharedMemory()); }
  __device__ static unsigned char* image() { return sharedMemory() + kRowSharedBytes; }
};
static_assert(sizeof(RowShared) <= kRowSharedBytes && kRowSharedBytes % kVectorBytes == 0);

/// The columns of this block. 32-bit within a row, whose targets are int32; offsets of rows are not.
struct Slice {
  unsigned first, columns;

  template <DType D>
  __device__ static Slice ofBlock(const RowParameters& p) {
    const auto width = static_cast<unsigned>(p.gather.logits.width);
    const unsigned each = p.geometry.sliceVectors * Element<D>::kPerVector;
    const unsigned first = min(each * clusterRank(), width);
    return {first, min(width - first, each)};
  }
  template <DType D>
  __device__ unsigned vectors() const {
    return (columns + Element<D>::kPerVector - 1) / Element<D>::kPerVector;
  }
  /// Elements of vector v.
  template <DType D>
  __device__ unsigned elements(unsigned v) const {
    return min(columns - v * Element<D>::kPerVector, Element<D>::kPerVector);
  }
};

/// visit(load(v), v) for the thread's vectors v of a range, with four loads in flight.
template <class Load, class Visit>
__device__ void forEachAhead(unsigned vectors, bool backwards, const Load& load, const Visit& visit) {
  constexpr unsigned kAhead = 4;
  if (threadIdx.x >= vectors) return;
  const unsigned rounds = (vectors - threadIdx.x + blockDim.x - 1) / blockDim.x;
  const auto at = [&](unsigned i) { return threadIdx.x + (backwards ? rounds - 1 - i : i) * blockDim.x; };
  uint4 ahead[kAhead];
#pragma unroll
  for (unsigned u = 0; u < kAhead; ++u) {
    if (u < rounds) ahead[u] = load(at(u));
  }
#pragma unroll 1
  for (unsigned i = 0; i < rounds; ++i) {
    const uint4 vector = ahead[0];
#pragma unroll
    for (unsigned u = 0; u + 1 < kAhead; ++u) ahead[u] = ahead[u + 1];
    if (i + kAhead < rounds) ahead[kAhead - 1] = load(at(i + kAhead));
    visit(vector, at(i));
  }
}

template <DType D>
class PlainRows {
 public:
  static constexpr bool kBulk = false;
  static constexpr unsigned kBlocks = 2;  // on a multiprocessor, at least: no slices decide how many

  __device__ explicit PlainRows(const RowParameters& p)
      : p_(p), slice_(Slice::ofBlock<D>(p)), onChip_(p.geometry.onChip) {}

  __device__ const Slice& slice() const { return slice_; }
  __device__ void begin(unsigned) {}

  template <bool kLast, class Visit>
  __device__ void read(size_t n, unsigned, unsigned, const Visit& visit) {
    // What a thread puts into shared memory, it alone reads.
    const unsigned char* const row = p_.gather.logits.row(n);
    forEachAhead(
        slice_.vectors<D>(), false, [&](unsigned v) { return load(row, v); },
        [&](const uint4& vector, unsigned v) {
          if (!kLast && onChip_) image()[v] = vector;
          give(vector, v, visit);
        });
  }

  template <class Visit>
  __device__ void readAgain(size_t n, unsigned, const Visit& visit) {
    const unsigned char* const row = p_.gather.logits.row(n);
    forEachAhead(
        slice_.vectors<D>(), true, [&](unsigned v) { return onChip_ ? image()[v] : load(row, v); },
        [&](const uint4& vector, unsigned v) { give(vector, v, visit); });
  }
  __device__ void drop(unsigned) {}

 private:
  __device__ static uint4* image() { return reinterpret_cast<uint4*>(RowShared::image()); }
  __device__ uint4 load(const unsigned char* row, unsigned v) const {
    return loadVector<D, Touched::again>(row + size_t{v} * kVectorBytes, slice_.elements<D>(v));
  }
  template <class Visit>
  __device__ static void give(const uint4& vector, unsigned v, const Visit& visit) {
    float x[Element<D>::kPerVector];
    Element<D>::unpack(vector, x);
    visit(x, v);
  }

  const RowParameters& p_;
  const Slice slice_;
  const bool onChip_;
};

/// The slice lies in shared memory at the same place within a vector as in global memory, because bulk copies move
/// whole vectors. Elements that share one with another slice or row are loaded one by one.
template <DType D>
class ChipRows {
 public:
  static constexpr bool kBulk = true;
  static constexpr unsigned kBlocks = kRowBlocksPerMultiprocessor;

  __device__ explicit ChipRows(const RowParameters& p) : p_(p) {}

  /// Formed again for every use: registers are scarcer than the few instructions.
  __device__ Slice slice() const { return Slice::ofBlock<D>(p_); }

  /// Requests the first row. All threads; others wait for the cluster's barrier that follows.
  __device__ void begin(unsigned n) {
    if (threadIdx.x != 0) return;
    for (unsigned chunk = 0; chunk < p_.geometry.chunks; ++chunk) initBarrier(barrier(chunk));
    for (unsigned chunk = 0; chunk < p_.geometry.chunks; ++chunk) request(n, chunk);
  }

  /// `parity`: 0 for the block's first row, then 1, 0, ... `kLast`: the row is not read again, and its chunks become
  /// those of row `next`.
  template <bool kLast, class Visit>
  __device__ void read(size_t n, unsigned next, unsigned parity, const Visit& visit) {
    loadEdges(n);
    unsigned awaited = 0;
    const auto await = [&](unsigned chunk) {
      while (awaited <= chunk) waitBytes(barrier(awaited++), parity);
    };
    walk<kLast>(n, next, await, visit);
  }

  template <class Visit>
  __device__ void readAgain(size_t n, unsigned next, const Visit& visit) {
    walk<true>(
        n, next, [](unsigned) {}, visit);
  }

  /// Instead of readAgain. All threads have read the row, as a barrier has made sure.
  __device__ void drop(unsigned next) {
    if (threadIdx.x != 0) return;
    for (unsigned chunk = 0; chunk < p_.geometry.chunks; ++chunk) request(next, chunk);
  }

 private:
  static constexpr unsigned kSize = sizeOf(D), kVector = kVectorBytes;

  __device__ static TransferBarrier* barrier(unsigned chunk) { return &RowShared::ofBlock().barriers[chunk]; }

  /// How a slice lies among whole vectors of memory.
  struct Place {
    const unsigned char* from;
    unsigned phase;             // bytes into a vector
    unsigned firstVector, end;  // of those that belong to the slice alone
  };

  __device__ Place placeOf(size_t n) const {
    const Slice slice = this->slice();
    const unsigned char* const from = p_.gather.logits.row(n) + size_t{slice.first} * kSize;
    const unsigned phase = reinterpret_cast<uintptr_t>(from) % kVectorBytes;
    return {from, phase, phase == 0 ? 0u : 1u, (phase + slice.columns * kSize) / kVector};
  }

  __device__ void request(unsigned n, unsigned chunk) const {
    if (n == kNoRow) return;
    const Place place = placeOf(n);
    const unsigned first = max(chunk * kChunkVectors, place.firstVector);
    const unsigned end = min((chunk + 1) * kChunkVectors, place.end);
    const unsigned bytes = first < end ? (end - first) * kVector : 0;
    expectBytes(barrier(chunk), bytes);
    if (bytes > 0) {
      bulkLoad(RowShared::image() + first * kVector, place.from - place.phase + first * kVector, bytes, barrier(chunk));
    }
  }

  __device__ void loadEdges(size_t n) const {
    const Place place = placeOf(n);
    const unsigned columns = slice().columns;
    const unsigned perVector = Element<D>::kPerVector, before = place.phase / kSize;
    const unsigned head = min(before == 0 ? 0 : perVector - before, columns);
    const unsigned wholeEnd = place.end > place.firstVector ? place.end * perVector - before : head;
    const unsigned edges = head + (columns - wholeEnd);
    if (edges == 0) return;
    if (threadIdx.x < edges) {
      using Bits = typename Element<D>::Bits;
      const unsigned column = threadIdx.x < head ? threadIdx.x : wholeEnd + (threadIdx.x - head);
      reinterpret_cast<Bits*>(RowShared::image() + place.phase)[column] =
          reinterpret_cast<const Bits*>(place.from)[column];
      shareForBulkStore();  // a later bulk copy comes after this
    }
    __syncthreads();
  }

  template <bool kRelease, class Await, class Visit>
  __device__ void walk(size_t n, unsigned next, const Await& await, const Visit& visit) {
    const Slice slice = this->slice();
    const unsigned vectors = slice.vectors<D>();
    const unsigned phase = placeOf(n).phase;
    for (unsigned chunk = 0; chunk < p_.geometry.chunks; ++chunk) {
      // Where the phase is not 0, the chunk's last vector ends in the next chunk.
      await(phase != 0 && chunk + 1 < p_.geometry.chunks ? chunk + 1 : chunk);
      const unsigned end = min((chunk + 1) * kChunkVectors, vectors);
#pragma unroll 1
      for (unsigned v = chunk * kChunkVectors + threadIdx.x; v < end; v += blockDim.x) give(slice, phase, v, visit);
      if constexpr (kRelease) {
        __syncthreads();
        if (threadIdx.x == 0) request(next, chunk);
      }
    }
  }

  template <class Visit>
  __device__ static void give(const Slice& slice, unsigned phase, unsigned v, const Visit& visit) {
    const auto* const vectors = reinterpret_cast<const uint4*>(RowShared::image());
    float x[Element<D>::kPerVector];
    Element<D>::unpack(phase == 0 ? vectors[v] : joinVectors(vectors[v], vectors[v + 1], phase), x);
    const unsigned elements = slice.elements<D>(v);
    if (elements < Element<D>::kPerVector) {
#pragma unroll
      for (unsigned j = 0; j < Element<D>::kPerVector; ++j) {
        if (j >= elements) x[j] = -HUGE_VALF;
      }
    }
    visit(x, v);
  }

  const RowParameters& p_;
};

}  // namespace turnwise::cuda
