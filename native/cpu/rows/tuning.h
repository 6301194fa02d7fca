// Numbers that change speed only, and those that fix bits: all in one place, each with its reason.
#pragma once
#include <cstddef>

namespace turnwise::cpu {

// ---- These fix the bits of a result. Changing one changes results in the last places.

/// Columns whose sum has its own running reference. Threads may share a row by segments, so its bits cannot depend on
/// them.
constexpr size_t kSegmentColumns = 16384;
/// Columns between two looks at the maximum: 8 KB of f32, still in L1 when a block must be redone.
constexpr size_t kBlockColumns = 2048;
/// Columns from whose maximum a segment starts. Few, because nothing is computed while they are read; not so few that
/// the first block would often be redone.
constexpr size_t kProbeColumns = 512;
/// Additions to an f32 lane before it goes to double. Equal terms round the same way each time: 128 of them cost 1e-6.
constexpr size_t kAdditions = 32;
/// A block is redone when its maximum is above the reference by more than this (in powers of two).
constexpr double kRedoAbove = 8;
/// Vectors in flight in an inner loop.
constexpr size_t kVectors = 4;

// ---- These change speed only.

/// Software prefetch of the forward pass: bytes ahead into L1, and further ahead into L2. Measured (Xeon with AVX-512,
/// one thread, 131 MB of f32, time over the read floor): 1 KB + 4 KB 1.32, 1 KB + 16 KB 1.32, 2 KB alone 1.36, L2 2 KB
/// alone 1.42, non-temporal 1.9. Far distances waste the end of a row when the next one belongs to another thread.
constexpr int kReadAheadL1 = 1024;
constexpr int kReadAheadL2 = 4096;
/// Of a gradient pass that reads from memory, into L2. The gradient of a row that was just read prefetches nothing: its
/// row is in L2, and fetching the next row meanwhile costs more misses' slots than it hides.
constexpr int kGradientReadAhead = 2048;

/// Bytes of logits that one thread takes at a time, while there are kRowsPerThread such pieces for each.
constexpr size_t kChunkBytes = size_t{512} << 10;
constexpr size_t kSmallestChunkBytes = size_t{32} << 10;
/// Bytes of logits of a ratio unit (a turn, a trajectory) up to which one thread reads all its rows and then writes all
/// their gradients: they must still be in the thread's own cache.
constexpr size_t kUnitBytes = size_t{1} << 20;
/// Larger units are read, and then written, by all threads together, so many units at a time: they should still be in
/// the shared cache.
constexpr size_t kWindowBytes = size_t{24} << 20;
/// With fewer rows than this per thread, rows are split by column segments.
constexpr size_t kRowsPerThread = 4;

}  // namespace turnwise::cpu
