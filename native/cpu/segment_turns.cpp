// Turn spans from explicit ids, mask runs, delimiter tokens or given spans, checked in one pass over the tokens
// (native/ops.h). The arrays come from outside: nothing is used as an index before it has been compared with the length
// it indexes. They may also change from outside at any time: offsets are copied, spans are read once, and no output is
// read back as an index.
#include "segment_turns.h"

#include <algorithm>
#include <new>
#include <vector>

#include "../checks/segment_turns.h"
#include "valid_turns.h"

namespace turnwise::cpu {

namespace {

Status fail(StatusCode code, int64_t position = -1) {
  return {code, position};
}

/// A value that is checked must be the one that is used: volatile forbids the compiler to read it again.
int32_t readOnce(const int32_t& value) {
  return *const_cast<const volatile int32_t*>(&value);
}

/// The outputs. Turns for which there is no room are counted, and nothing else.
class TurnWriter {
 public:
  explicit TurnWriter(const SegmentTurns& args) : args_(args), capacity_(turnCapacity(args)) {}

  void open(int32_t start, int32_t trajectory, int32_t index) {
    start_ = start;
    tokens_ = 0;
    index_ = index;
    isOpen_ = true;
    if (count_ >= capacity_) return;
    args_.starts[count_] = start;
    args_.trajectory[count_] = trajectory;
    args_.index[count_] = index;
  }
  void addTokens(int32_t count) { tokens_ += count; }
  void close(int32_t end) {
    if (count_ < capacity_) {
      args_.tokens[count_] = tokens_;
      args_.ends[count_] = end;
    }
    ++count_;
    isOpen_ = false;
  }

  bool isOpen() const { return isOpen_; }
  /// Of the turn opened last.
  int32_t index() const { return index_; }
  int32_t openStart() const { return start_; }
  size_t count() const { return count_; }
  size_t capacity() const { return capacity_; }
  size_t written() const { return std::min(count_, capacity_); }

 private:
  const SegmentTurns& args_;
  size_t capacity_;
  size_t count_ = 0;
  bool isOpen_ = false;
  int32_t start_ = 0, tokens_ = 0, index_ = 0;
};

class Segmenter {
 public:
  explicit Segmenter(const SegmentTurns& args) : args_(args), offsets_(ownCopy(args.trajectoryOffsets)), turns_(args) {}

  /// `exactly`: there must be as many turns as there is room for, because other ops read the outputs as they are.
  Status run(bool exactly) {
    if (!validArguments(args_) || !validSizes()) return fail(StatusCode::invalidArgument);
    std::fill_n(args_.effectiveMask.data, args_.effectiveMask.size, uint8_t{0});
    const Status status = args_.by == SegmentBy::spans ? readSpans() : scanTrajectories();
    if (!status) return status;
    if (exactly && turns_.count() != turns_.capacity()) {
      return fail(StatusCode::turnCount, static_cast<int64_t>(turns_.count()));
    }
    if (turns_.count() > turns_.capacity()) return fail(StatusCode::invalidArgument);
    args_.count[0] = static_cast<int32_t>(turns_.count());
    return {};
  }

 private:
  /// After validArguments(): there is an offset.
  bool validSizes() const {
    return offsets_[0] == 0 && std::is_sorted(offsets_.begin(), offsets_.end()) &&
           validTokenCount(args_, static_cast<size_t>(tokenCount()));
  }

  int32_t tokenCount() const { return offsets_.back(); }

  Status scanTrajectories() {
    for (size_t m = 0; m + 1 < offsets_.size(); ++m) {
      trajectory_ = static_cast<int32_t>(m);
      firstTurn_ = turns_.count();
      const int32_t end = offsets_[m + 1];
      for (int32_t n = offsets_[m]; n < end; ++n) {
        const Status status = readToken(n);
        if (!status) return status;
      }
      if (!turns_.isOpen()) continue;
      if (args_.by == SegmentBy::delimiters && args_.unclosed == Unclosed::fail) {
        return fail(StatusCode::turnUnclosed, turns_.openStart());
      }
      turns_.close(end);
    }
    return {};
  }

  Status readToken(int32_t n) {
    switch (args_.by) {
      case SegmentBy::turnIds:
        return readTurnId(n);
      case SegmentBy::actionMask:
        return readMask(n);
      default:
        return readDelimiter(n);
    }
  }

  Status readTurnId(int32_t n) {
    const int32_t id = readOnce(args_.turnIds[n]);
    if (id < -1) return fail(StatusCode::turnOrder, n);
    if (turns_.isOpen() && turns_.index() != id) turns_.close(n);
    if (id == -1 || turns_.isOpen()) return countToken(n);
    // The ids of this trajectory so far lie in the output, ascending. Should somebody else write there, only which of
    // two errors is reported changes.
    if (turns_.count() > firstTurn_ && id <= turns_.index()) {
      const int32_t* seen = args_.index.data + std::min(firstTurn_, turns_.written());
      const int32_t* seenEnd = args_.index.data + turns_.written();
      return fail(std::binary_search(seen, seenEnd, id) ? StatusCode::turnSplit : StatusCode::turnOrder, n);
    }
    return openAndCount(n, id);
  }

  Status readMask(int32_t n) {
    if (args_.actionMask[n] != 1) {
      if (turns_.isOpen()) turns_.close(n);
      return {};
    }
    return turns_.isOpen() ? countToken(n) : openAndCount(n, nextIndex());
  }

  Status readDelimiter(int32_t n) {
    const int32_t token = readOnce(args_.tokenIds[n]);
    // What a token means depends on the state first, so that one token may serve as both delimiters.
    if (!turns_.isOpen()) {
      if (token == args_.openToken) return openAndCount(n, nextIndex());
      return token == args_.closeToken ? fail(StatusCode::turnUnopened, n) : countToken(n);
    }
    if (token == args_.openToken && token != args_.closeToken) return fail(StatusCode::turnNested, n);
    countToken(n);
    if (token == args_.closeToken) turns_.close(n + 1);
    return {};
  }

  Status readSpans() {
    int32_t previousStart = 0, previousEnd = 0;
    Status uncovered;
    for (size_t k = 0; k < args_.spanStarts.size; ++k) {
      const int64_t position = static_cast<int64_t>(k);
      const int32_t start = readOnce(args_.spanStarts[k]), end = readOnce(args_.spanEnds[k]);
      if (start < 0 || end > tokenCount() || start >= end) return fail(StatusCode::turnRange, position);
      // The last trajectory that begins at or before `start`: empty ones share its offset and end there.
      const auto trajectoryEnd = std::upper_bound(offsets_.begin(), offsets_.end(), start);
      if (end > *trajectoryEnd) return fail(StatusCode::turnRange, position);
      if (start < previousStart) return fail(StatusCode::turnOrder, position);
      if (start < previousEnd) return fail(StatusCode::turnOverlap, position);

      // A span out of order says more than the tokens it leaves uncovered, so these are reported last.
      if (uncovered) uncovered = countTokens(previousEnd, start);
      const int32_t trajectory = static_cast<int32_t>(trajectoryEnd - offsets_.begin() - 1);
      if (trajectory != trajectory_) {
        trajectory_ = trajectory;
        firstTurn_ = turns_.count();
      }
      turns_.open(start, trajectory_, nextIndex());
      countTokens(start, end);
      turns_.close(end);
      previousStart = start;
      previousEnd = end;
    }
    return uncovered ? countTokens(previousEnd, tokenCount()) : uncovered;
  }

  /// Position of the next turn in its trajectory.
  int32_t nextIndex() const { return static_cast<int32_t>(turns_.count() - firstTurn_); }

  Status openAndCount(int32_t n, int32_t index) {
    turns_.open(n, trajectory_, index);
    return countToken(n);
  }

  Status countToken(int32_t n) { return countTokens(n, n + 1); }

  /// Counts tokens of the open turn; outside a turn no token may be in the loss. Without a mask it takes no loop:
  /// offsets and spans alone, which no array of N elements backs, could claim two billion tokens.
  Status countTokens(int32_t first, int32_t last) {
    if (!args_.actionMask) {
      if (turns_.isOpen()) addTokens(first, last);
      return {};
    }
    for (int32_t n = first; n < last; ++n) {
      if (args_.actionMask[n] != 1) continue;
      if (!turns_.isOpen()) return fail(StatusCode::maskOutsideTurn, n);
      addTokens(n, n + 1);
    }
    return {};
  }

  /// Loss tokens of the open turn.
  void addTokens(int32_t first, int32_t last) {
    turns_.addTokens(last - first);
    if (args_.effectiveMask) std::fill(args_.effectiveMask.data + first, args_.effectiveMask.data + last, uint8_t{1});
  }

  const SegmentTurns& args_;
  const std::vector<int32_t> offsets_;
  TurnWriter turns_;
  int32_t trajectory_ = -1;
  size_t firstTurn_ = 0;  // first turn of the trajectory at hand
};

Status segment(const SegmentTurns& args, bool exactly) {
  try {
    return Segmenter(args).run(exactly);
  } catch (const std::bad_alloc&) {
    return fail(StatusCode::outOfMemory);
  }
}

}  // namespace

Status segmentTurns(const SegmentTurns& args, Context&) {
  return segment(args, false);
}

Status segmentExactly(const SegmentTurns& args) {
  return segment(args, true);
}

}  // namespace turnwise::cpu
