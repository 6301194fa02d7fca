// The batch as credit assignment walks it: loss tokens, turns and trajectories, and which lie in which. As
// native/cpu/credit/layout.h, with the turn of each loss token beside it: passes go over entries, not over
// trajectories.
#pragma once
#include "../../native/checks/arguments.h"
#include "../../native/math/absent.h"
#include "../turns/trajectories.cuh"
#include "work.cuh"

namespace turnwise::cuda {

class Layout {
 public:
  __device__ Layout(const TurnStatistics& args, const CreditWork& work) : args_(args), work_(work) {}

  /// False where turns or mask do not describe a batch. Synchronised after.
  TURNWISE_NOT_INLINED __device__ bool read(const Team& team) {
    const bool perToken = readsTokens(args_);
    copyTurns(team, perToken);
    if (!validTurns(team, perToken)) return false;
    team.forEach(trajectoryCount() + 1, [&](size_t m) {
      work_.firstTurn[m] = static_cast<uint32_t>(countUpTo(work_.trajectory, turnCount(), static_cast<int64_t>(m) - 1));
    });
    team.sync();
    team.forEach(trajectoryCount(), [&](size_t m) {
      int64_t tokens = 0;
      for (size_t k = first(Level::turn, m); k < end(Level::turn, m); ++k) tokens += args_.turns.tokens[k];
      work_.trajectoryTokens[m] = static_cast<double>(tokens);
    });
    const bool valid = !perToken || readTokens(team);
    team.sync();
    return valid;
  }

  __device__ size_t trajectoryCount() const { return args_.groups.size; }
  __device__ size_t turnCount() const { return args_.turns.trajectory.size; }
  /// Entries of a level: loss tokens, turns or trajectories.
  __device__ size_t size(Level level) const {
    return level == Level::token ? tokenCount_ : level == Level::turn ? turnCount() : trajectoryCount();
  }
  /// Where the caller's arrays of this level hold entry e.
  __device__ size_t position(Level level, size_t e) const { return level == Level::token ? work_.tokenAt[e] : e; }
  __device__ bool excluded(size_t m) const { return args_.outcome && isAbsent(args_.outcome[m]); }

  /// The turn of an entry, at level turn or token.
  __device__ size_t turnOf(Level level, size_t e) const { return level == Level::token ? work_.tokenTurn[e] : e; }
  __device__ size_t trajectoryOf(Level level, size_t e) const {
    return level == Level::sequence ? e : static_cast<size_t>(work_.trajectory[turnOf(level, e)]);
  }

  /// The entries of trajectory m at a level.
  __device__ size_t first(Level level, size_t m) const {
    if (level == Level::sequence) return m;
    return level == Level::turn ? work_.firstTurn[m] : firstOfTurn(level, work_.firstTurn[m]);
  }
  __device__ size_t end(Level level, size_t m) const { return level == Level::sequence ? m + 1 : first(level, m + 1); }
  /// The entries of turn k, at level turn or token, begin here and end where those of turn k + 1 begin.
  __device__ size_t firstOfTurn(Level level, size_t k) const { return level == Level::token ? work_.firstToken[k] : k; }
  __device__ bool hasTurns(size_t m) const { return work_.firstTurn[m] < work_.firstTurn[m + 1]; }
  __device__ bool isOnLastTurn(Level level, size_t e) const {
    return turnOf(level, e) + 1 == end(Level::turn, trajectoryOf(level, e));
  }

  /// Loss tokens in an entry; 0 in excluded trajectories.
  TURNWISE_NOT_INLINED __device__ double lossTokens(Level level, size_t e) const {
    const size_t m = trajectoryOf(level, e);
    if (excluded(m)) return 0.0;
    if (level == Level::token) return 1.0;
    return level == Level::turn ? args_.turns.tokens[e] : work_.trajectoryTokens[m];
  }

 private:
  /// An index is checked in, and used from, the same memory.
  __device__ void copyTurns(const Team& team, bool perToken) {
    team.forEach(turnCount(), [&](size_t k) {
      work_.trajectory[k] = args_.turns.trajectory[k];
      if (!perToken) return;
      work_.starts[k] = args_.turns.starts[k];
      work_.ends[k] = args_.turns.ends[k];
    });
    team.sync();
  }

  /// Trajectories non-decreasing, in [0, M); spans in order and inside the mask.
  __device__ bool validTurns(const Team& team, bool perToken) {
    bool valid = true;
    team.forEach(turnCount(), [&](size_t k) {
      const int64_t m = work_.trajectory[k];
      const int64_t previous = k > 0 ? work_.trajectory[k - 1] : 0;
      valid = valid && m >= previous && m >= 0 && m < static_cast<int64_t>(trajectoryCount());
      if (!perToken) return;
      const int64_t previousEnd = k > 0 ? work_.ends[k - 1] : 0;
      valid = valid && followsSpan(previousEnd, work_.starts[k], work_.ends[k], args_.turns.tokens[k]) &&
              work_.ends[k] <= static_cast<int64_t>(args_.actionMask.size);
    });
    return team.all(valid);
  }

  /// Loss tokens of each turn: as many as the turns say, or false.
  __device__ bool readTokens(const Team& team) {
    const View<const uint8_t>& mask = args_.actionMask;
    const uint64_t ones = team.scan(
        mask.size, [&](size_t n) { return mask[n] == 1; },
        [&](size_t n, uint64_t before) { work_.lossBefore[n] = static_cast<uint32_t>(before); });
    if (team.rank() == 0) work_.lossBefore[mask.size] = static_cast<uint32_t>(ones);
    team.sync();
    const auto tokensOf = [&](size_t k) { return work_.lossBefore[work_.ends[k]] - work_.lossBefore[work_.starts[k]]; };
    bool valid = true;
    team.forEach(turnCount(),
                 [&](size_t k) { valid = valid && tokensOf(k) == static_cast<uint32_t>(args_.turns.tokens[k]); });
    if (!team.all(valid)) return false;
    tokenCount_ = team.scan(turnCount(), tokensOf,
                            [&](size_t k, uint64_t before) { work_.firstToken[k] = static_cast<uint32_t>(before); });
    if (team.rank() == 0) work_.firstToken[turnCount()] = static_cast<uint32_t>(tokenCount_);
    // Of the turns that begin at or before a token the last one may hold it.
    team.forEach(mask.size, [&](size_t n) {
      const size_t upTo = countUpTo(work_.starts, turnCount(), static_cast<int64_t>(n));
      if (mask[n] != 1 || upTo == 0 || static_cast<int64_t>(n) >= work_.ends[upTo - 1]) return;
      const size_t k = upTo - 1;
      const uint32_t e = work_.firstToken[k] + (work_.lossBefore[n] - work_.lossBefore[work_.starts[k]]);
      work_.tokenAt[e] = static_cast<uint32_t>(n);
      work_.tokenTurn[e] = static_cast<uint32_t>(k);
    });
    return true;
  }

  const TurnStatistics& args_;
  const CreditWork& work_;
  size_t tokenCount_ = 0;
};

/// What every stage works with.
struct Batch {
  const Team& team;
  const TurnStatistics& args;
  const CreditWork& work;
  const Layout& layout;
};

}  // namespace turnwise::cuda
