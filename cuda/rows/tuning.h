// How a row is laid over blocks and shared memory: the numbers that decide speed, each with its reason.
//
// They fix bits as well (which thread adds which columns), so they depend on V, dtype and the device's limits alone,
// never on the number of rows.
#pragma once
#include <algorithm>

#include "../device/platform.cuh"
#include "../runtime/device.h"

namespace turnwise::cuda {

/// Bytes of one access; what a thread handles at a time is so many bytes of a row.
constexpr size_t kVectorBytes = 16;
/// Bounds of the row kernels. Three blocks on a multiprocessor: one loads, one computes, one waits for its cluster or
/// its scalars. Five warps each: a thread may have 128 registers, which the loss of a row needs, and two blocks' warps
/// keep the exponential unit, the scarcest, busy (derived, not measured: 64 of a warp's 180 cycles for a bf16 vector).
constexpr unsigned kMaxRowThreads = 160;
constexpr unsigned kRowBlocksPerMultiprocessor = 3;
/// Vectors of one bulk copy: twelve rounds of a full block, 30 KB. The sum begins when the first has landed, and the
/// next row's takes its place when all threads have had it.
constexpr unsigned kChunkVectors = 12 * kMaxRowThreads;
constexpr unsigned kMaxRowBlocks = 8;  // of a cluster
constexpr unsigned kMaxRowChunks = 8;  // of the largest shared memory, 227 KB

/// Of a block's dynamic shared memory, before the row: at least what RowShared (row_storage.cuh) takes.
constexpr size_t kRowSharedBytes = 688;

struct RowGeometry {
  bool onChip;            // the row stays in shared memory between its two uses; if not, it is read twice
  unsigned cluster;       // blocks of a row
  unsigned threads;       // of a block
  unsigned sliceVectors;  // of a block
  unsigned chunks;        // bulk copies of a slice; 0: plain loads
  size_t sharedBytes;
};

inline RowGeometry rowGeometry(size_t width, DType dtype, const Device& device) {
  const auto vectors = std::max(static_cast<unsigned>((width * sizeOf(dtype) + kVectorBytes - 1) / kVectorBytes), 1u);
  // The device keeps 1 KB of each block's to itself, and has as much more than one block may have.
  const size_t share = (device.sharedPerBlock + 1024) / kRowBlocksPerMultiprocessor - 1024;

  const auto split = [&](unsigned cluster) {
    RowGeometry row{};
    row.cluster = cluster;
    row.sliceVectors = (vectors + cluster - 1) / cluster;
    // A vector more than the columns need: the row keeps its phase in global memory.
    const size_t imageBytes = (size_t{row.sliceVectors} + 1) * kVectorBytes;
    row.chunks = device.hasClusters() ? (row.sliceVectors + kChunkVectors) / kChunkVectors : 0;
    // Small rows: about four vectors a thread, so that merging threads does not outweigh adding columns.
    row.threads = 32 * std::clamp(row.sliceVectors / 128, 1u, kMaxRowThreads / 32);
    row.sharedBytes = kRowSharedBytes + imageBytes;
    row.onChip = row.sharedBytes <= device.sharedPerBlock && row.chunks <= kMaxRowChunks;
    return row;
  };

  // The smallest cluster whose slices fit into a share each: fewer blocks wait for each other, and clusters of eight
  // leave some multiprocessors idle where their number does not divide. Larger rows: the largest cluster, fewer blocks
  // each.
  const unsigned largest = std::min(device.largestCluster, kMaxRowBlocks);
  for (unsigned cluster = 1; cluster <= largest; cluster *= 2) {
    const RowGeometry row = split(cluster);
    if (row.sharedBytes <= share || (cluster == largest && row.onChip)) return row;
  }
  // Two reads, by one block a row.
  return {false, 1, kMaxRowThreads, vectors, 0, kRowSharedBytes};
}

}  // namespace turnwise::cuda
