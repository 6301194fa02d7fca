// Reading the batch: every check that needs a look into turns and mask.
#include "layout.h"

#include <algorithm>

#include "../../checks/turn_statistics.h"
#include "../../math/absent.h"
#include "../valid_turns.h"

namespace turnwise::cpu {

bool Layout::read(const TurnStatistics& args) {
  trajectoryCount_ = args.groups.size;
  turnCount_ = args.turns.trajectory.size;
  turnTokens_ = args.turns.tokens;
  if (!readRanges(args.turns.trajectory)) return false;
  if (readsTokens(args) && !readTokens(args.turns, args.actionMask)) return false;
  outcome_.assign(args.outcome.data, args.outcome.data + args.outcome.size);
  anyExcluded_ = std::any_of(outcome_.begin(), outcome_.end(), isAbsent);
  return true;
}

/// Trajectories non-decreasing, in [0, M): the turns of one are adjacent.
bool Layout::readRanges(const View<const int32_t>& trajectory) {
  ranges_.reserve(std::min(trajectoryCount_, turnCount_));
  int64_t previous = -1;
  for (size_t k = 0; k < turnCount_; ++k) {
    const int64_t m = trajectory[k];
    if (m < 0 || m < previous || m >= static_cast<int64_t>(trajectoryCount_)) return false;
    if (m != previous) ranges_.push_back({static_cast<uint32_t>(m), static_cast<uint32_t>(k), 0});
    ranges_.back().end = static_cast<uint32_t>(k + 1);
    previous = m;
  }
  return true;
}

/// Spans in order and inside the mask, each with as many loss tokens as the turns say.
bool Layout::readTokens(const Turns& turns, const View<const uint8_t>& actionMask) {
  const std::vector<int32_t> starts = ownCopy(turns.starts), ends = ownCopy(turns.ends), counts = ownCopy(turns.tokens);
  if (!validSpans(starts, ends, counts, actionMask.size)) return false;
  firstToken_.assign(1, 0);
  firstToken_.reserve(turnCount_ + 1);
  for (size_t k = 0; k < turnCount_; ++k) {
    for (int64_t n = starts[k]; n < ends[k]; ++n) {
      if (actionMask[n] == 1) tokens_.push_back(static_cast<uint32_t>(n));
    }
    firstToken_.push_back(static_cast<uint32_t>(tokens_.size()));
    if (firstToken_[k + 1] - firstToken_[k] != static_cast<uint32_t>(counts[k])) return false;
  }
  return true;
}

size_t Layout::size(Level level) const {
  switch (level) {
    case Level::token:
      return tokens_.size();
    case Level::turn:
      return turnCount_;
    case Level::sequence:
      break;
  }
  return trajectoryCount_;
}

std::vector<double> Layout::lossTokens(Level level) const {
  if (level == Level::token) {
    std::vector<double> ones(size(level), 1.0);
    dropExcluded(level, ones);
    return ones;
  }
  std::vector<double> counts(turnCount_);
  for (size_t k = 0; k < turnCount_; ++k) counts[k] = turnTokens_[k];
  if (level == Level::sequence) {
    std::vector<double> sums(trajectoryCount_, 0.0);
    forEachUnit(Level::sequence, Level::turn, [&](size_t m, size_t first, size_t end) {
      for (size_t k = first; k < end; ++k) sums[m] += counts[k];
    });
    counts.swap(sums);
  }
  dropExcluded(level, counts);
  return counts;
}

void Layout::dropExcluded(Level level, std::vector<double>& values) const {
  if (!anyExcluded_) return;
  forEachRun(level, [&](const Run& run) {
    if (excluded(run.trajectory)) std::fill(values.begin() + run.first, values.begin() + run.end, 0.0);
  });
}

}  // namespace turnwise::cpu
