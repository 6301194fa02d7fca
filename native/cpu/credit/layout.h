// The batch as credit assignment walks it: loss tokens, turns and trajectories, and which lie in which.
//
// Everything that later serves as an index is read from the caller's arrays once, checked, and kept here: a thread of
// the caller may change them meanwhile. Loss tokens are numbered 0, 1, ... without gaps, so that at every level the
// entries of one turn, and of one trajectory, are one range. Memory O(M + K), and O(loss tokens) if something is per
// token.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../ops.h"

namespace turnwise::cpu {

/// Entries [first, end) of one trajectory; those from `lastTurn` on belong to its last turn.
struct Run {
  size_t trajectory, first, lastTurn, end;
};

class Layout {
 public:
  /// False where turns or masks do not describe a batch.
  bool read(const TurnStatistics& args);

  size_t trajectoryCount() const { return trajectoryCount_; }
  size_t turnCount() const { return turnCount_; }
  /// Entries of a level: loss tokens, turns or trajectories.
  size_t size(Level level) const;
  /// Where the caller's arrays [N] hold loss token i.
  size_t tokenAt(size_t i) const { return tokens_[i]; }
  /// Where the caller's arrays of this level hold entry i.
  size_t position(Level level, size_t i) const { return level == Level::token ? tokens_[i] : i; }

  /// Own copy; empty where there is none.
  const std::vector<double>& outcome() const { return outcome_; }
  bool excluded(size_t m) const { return anyExcluded_ && outcome_[m] != outcome_[m]; }
  bool anyExcluded() const { return anyExcluded_; }

  /// visit(Run) of every trajectory's entries at this level; trajectories without turns have no turns or tokens.
  template <class Visit>
  void forEachRun(Level level, const Visit& visit) const {
    switch (level) {
      case Level::sequence:
        for (size_t m = 0; m < trajectoryCount_; ++m) visit(Run{m, m, m, m + 1});
        return;
      case Level::turn:
        for (const TurnRange& r : ranges_) visit(Run{r.trajectory, r.first, r.end - size_t{1}, r.end});
        return;
      case Level::token:
        for (const TurnRange& r : ranges_) {
          visit(Run{r.trajectory, firstToken_[r.first], firstToken_[r.end - 1], firstToken_[r.end]});
        }
        return;
    }
  }

  /// visit(unit, first, end): the entries of `fine` that lie in each trajectory or turn. `coarse` is the coarser level.
  template <class Visit>
  void forEachUnit(Level coarse, Level fine, const Visit& visit) const {
    if (coarse == Level::sequence) {
      forEachRun(fine, [&](const Run& run) { visit(run.trajectory, run.first, run.end); });
    } else {
      for (size_t k = 0; k < turnCount_; ++k) visit(k, size_t{firstToken_[k]}, size_t{firstToken_[k + 1]});
    }
  }

  /// Entries of turn k, at level turn or token.
  size_t firstOfTurn(Level level, size_t k) const { return level == Level::token ? firstToken_[k] : k; }

  /// Values of `coarse` repeated on every entry of `fine` in them, `fill` elsewhere.
  template <class T>
  void spread(Level coarse, const std::vector<T>& values, Level fine, T fill, std::vector<T>& to) const {
    to.assign(size(fine), fill);
    forEachUnit(coarse, fine, [&](size_t unit, size_t first, size_t end) {
      for (size_t e = first; e < end; ++e) to[e] = values[unit];
    });
  }

  /// Loss tokens in each entry; 0 in those of excluded trajectories.
  std::vector<double> lossTokens(Level level) const;

 private:
  struct TurnRange {
    uint32_t trajectory, first, end;
  };

  bool readRanges(const View<const int32_t>& trajectory);
  bool readTokens(const Turns& turns, const View<const uint8_t>& actionMask);
  void dropExcluded(Level level, std::vector<double>& values) const;

  size_t trajectoryCount_ = 0, turnCount_ = 0;
  std::vector<TurnRange> ranges_;  // of the trajectories that have turns
  View<const int32_t> turnTokens_;
  std::vector<uint32_t> tokens_;      // where the loss tokens are
  std::vector<uint32_t> firstToken_;  // [K + 1] of each turn, in tokens_; empty if nothing is per token
  std::vector<double> outcome_;       // or empty
  bool anyExcluded_ = false;
};

}  // namespace turnwise::cpu
