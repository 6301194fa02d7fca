// What the ways of telling turns share: the record of a segmentation, and its first error.
#pragma once
#include "../../native/checks/segment_turns.h"
#include "../device/error_word.cuh"
#include "trajectories.cuh"

namespace turnwise::cuda {

/// The arguments with their workspace.
struct Segmentation {
  SegmentTurns args;
  size_t capacity;                 // turns that the outputs have room for
  bool exactly;                    // and of which there must be no fewer and no more: they are read as they are
  int32_t* offsets = nullptr;      // [M+1]
  int32_t* spanStarts = nullptr;   // [K] by spans
  int32_t* spanEnds = nullptr;     // [K]
  uint32_t* lossBefore = nullptr;  // [N+1] by spans with a mask: tokens in the loss before each
};

/// The error that a scan in order meets first. Many are found at once; the place where the scan would notice one
/// decides, and that need not be the position which it reports.
class FirstError {
 public:
  __device__ void found(uint64_t place, StatusCode code, int64_t position) {
    const uint64_t key = place << 8 | static_cast<uint64_t>(code);
    if (key >= key_) return;
    key_ = key;
    position_ = position;
  }

  /// The first of all members. Also a barrier.
  __device__ void agree(const Team& team) {
    first_ = team.reduce(key_, uint64_t{kNone}, [](uint64_t a, uint64_t b) { return a < b ? a : b; });
  }
  /// Whether any member found one, its place and code: known to all after agree().
  __device__ bool any() const { return first_ != kNone; }
  __device__ uint64_t place() const { return first_ >> 8; }
  __device__ StatusCode code() const { return static_cast<StatusCode>(first_ & 0xff); }

  /// By all members: reported by the one that found it, as `code`.
  __device__ void reportAs(StatusCode code, ErrorWord* error) const {
    if (any() && key_ == first_) report(error, code, position_);
  }

 private:
  static constexpr uint64_t kNone = ~uint64_t{0};
  uint64_t key_ = kNone, first_ = kNone;
  int64_t position_ = -1;
};

/// By all members, when there is no other error.
__device__ inline void finish(const Team& team, const Segmentation& segmentation, uint64_t turns, ErrorWord* error) {
  if (team.rank() != 0) return;
  if (segmentation.exactly && turns != segmentation.capacity) {
    return report(error, StatusCode::turnCount, static_cast<int64_t>(turns));
  }
  if (turns > segmentation.capacity) return report(error, StatusCode::invalidArgument);
  segmentation.args.count[0] = static_cast<int32_t>(turns);
}

}  // namespace turnwise::cuda
