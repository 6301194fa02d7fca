// Numbers that change speed only, and those that fix bits: all in one place, each with its reason.
#pragma once
#include <cstddef>

namespace turnwise::cpu {

// ---- These fix the bits of a result. Changing one changes results in the last places.

/// Columns whose sum has its own running reference. Threads may share a row by segments, so its bits cannot depend on them.
constexpr size_t kSegmentColumns = 16384;
/// Columns summed in f32 lanes before the lanes go to double. 2048 = 32 to 128 additions a lane, and 8 KB of f32 in L1, where a
/// block that must be redone is read again.
constexpr size_t kBlockColumns = 2048;
/// A block is redone when its maximum is above the reference by more than this (in powers of two).
constexpr double kRedoAbove = 8;
/// Vectors in flight in an inner loop.
constexpr size_t kVectors = 4;

// ---- These change speed only.

/// Software prefetch of the rows: bytes ahead, and the cache level (3 = L1, 2 = L2).
constexpr int kReadAhead = 2048;
constexpr int kReadAheadLevel = 2;

}  // namespace turnwise::cpu
