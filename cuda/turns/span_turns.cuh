// Turns that are given as spans: checked against the trajectories, against each other and against the mask. Where no
// array has N elements, nothing takes N steps: offsets and spans alone could claim two billion tokens.
#pragma once
#include "segmentation.cuh"

namespace turnwise::cuda {

/// Own copies: a span is checked in, and used from, the same memory.
class Spans {
 public:
  /// Called by all members.
  __device__ Spans(const Team& team, const Segmentation& segmentation)
      : starts_(segmentation.spanStarts), ends_(segmentation.spanEnds), count_(segmentation.args.spanStarts.size) {
    team.forEach(count_, [&](size_t k) {
      segmentation.spanStarts[k] = segmentation.args.spanStarts[k];
      segmentation.spanEnds[k] = segmentation.args.spanEnds[k];
    });
    team.sync();
  }

  __device__ size_t count() const { return count_; }
  __device__ int32_t start(size_t k) const { return starts_[k]; }
  __device__ int32_t end(size_t k) const { return ends_[k]; }
  __device__ StatusCode errorOf(size_t k, const Trajectories& trajectories) const {
    const int32_t start = starts_[k], end = ends_[k];
    if (start < 0 || start >= end || static_cast<size_t>(end) > trajectories.tokenCount() ||
        static_cast<size_t>(end) > trajectories.end(trajectories.of(static_cast<size_t>(start)))) {
      return StatusCode::turnRange;
    }
    if (k > 0 && start < starts_[k - 1]) return StatusCode::turnOrder;
    return k > 0 && start < ends_[k - 1] ? StatusCode::turnOverlap : StatusCode::ok;
  }

  // Of spans without an error.
  /// How many begin before token n.
  __device__ size_t countBefore(size_t n) const { return countUpTo(starts_, count_, static_cast<int64_t>(n) - 1); }
  __device__ bool cover(size_t n) const {
    const size_t upTo = countBefore(n + 1);
    return upTo > 0 && static_cast<int64_t>(n) < ends_[upTo - 1];
  }

 private:
  const int32_t* starts_;
  const int32_t* ends_;
  size_t count_;
};

/// By all members. The offsets are valid and the arrays have their lengths.
__device__ inline void segmentBySpans(const Team& team, const Segmentation& segmentation,
                                      const Trajectories& trajectories, ErrorWord* error) {
  const SegmentTurns& args = segmentation.args;
  const Spans spans(team, segmentation);
  FirstError first;
  team.forEach(spans.count(), [&](size_t k) {
    const StatusCode code = spans.errorOf(k, trajectories);
    if (code != StatusCode::ok) first.found(k, code, static_cast<int64_t>(k));
  });
  first.agree(team);
  if (first.any()) {
    first.reportAs(first.code(), error);
    return;
  }

  // One more than there are tokens, so that the difference of two is the number between.
  uint32_t* const lossBefore = segmentation.lossBefore;
  const size_t tokenCount = trajectories.tokenCount();
  uint64_t inLoss = 0;
  if (args.actionMask) {
    inLoss = team.scan(
        tokenCount, [&](size_t n) { return args.actionMask[n] == 1; },
        [&](size_t n, uint64_t before) { lossBefore[n] = static_cast<uint32_t>(before); });
    if (team.rank() == 0) lossBefore[tokenCount] = static_cast<uint32_t>(inLoss);
    team.sync();
  }
  uint64_t covered = 0;
  team.forEach(spans.count(), [&](size_t k) {
    const int32_t start = spans.start(k), end = spans.end(k);
    const size_t m = trajectories.of(static_cast<size_t>(start));
    const uint32_t tokens = args.actionMask ? lossBefore[end] - lossBefore[start]
                                            : static_cast<uint32_t>(end) - static_cast<uint32_t>(start);
    covered += tokens;
    if (k >= segmentation.capacity) return;
    args.starts[k] = start;
    args.ends[k] = end;
    args.tokens[k] = static_cast<int32_t>(tokens);
    args.trajectory[k] = static_cast<int32_t>(m);
    args.index[k] = static_cast<int32_t>(k - spans.countBefore(trajectories.begin(m)));
  });
  if (args.effectiveMask) {
    team.forEach(tokenCount, [&](size_t n) {
      args.effectiveMask[n] = (!args.actionMask || args.actionMask[n] == 1) && spans.cover(n);
    });
  }
  covered = team.sum(covered);
  if (!args.actionMask || covered == inLoss) {
    finish(team, segmentation, spans.count(), error);
    return;
  }
  team.forEach(tokenCount, [&](size_t n) {
    if (args.actionMask[n] == 1 && !spans.cover(n)) {
      first.found(n, StatusCode::maskOutsideTurn, static_cast<int64_t>(n));
    }
  });
  first.agree(team);
  first.reportAs(first.code(), error);
}

}  // namespace turnwise::cuda
