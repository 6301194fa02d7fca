// Turn spans from explicit ids, mask runs, delimiter tokens or given spans, checked in one pass over the tokens
// (native/ops.h). The arrays come from outside: nothing is used as an index before it has been compared with the length
// it indexes. They may also change from outside at any time: offsets are copied, spans are read once, and no output is
// read back as an index.
#include <algorithm>
#include <new>
#include <vector>

#include "../backend.h"
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

/// The outputs; knows how many turns fit.
class TurnWriter {
 public:
  explicit TurnWriter(const SegmentTurns& args) : args_(args) {
    capacity_ = std::min({args.starts.size, args.ends.size, args.tokens.size, args.trajectory.size, args.index.size});
  }

  bool open(int32_t start, int32_t trajectory, int32_t index) {
    if (count_ == capacity_) return false;
    start_ = start;
    tokens_ = 0;
    index_ = index;
    args_.starts[count_] = start;
    args_.trajectory[count_] = trajectory;
    args_.index[count_] = index;
    isOpen_ = true;
    return true;
  }
  void addTokens(int32_t count) { tokens_ += count; }
  void close(int32_t end) {
    args_.tokens[count_] = tokens_;
    args_.ends[count_++] = end;
    isOpen_ = false;
  }

  bool isOpen() const { return isOpen_; }
  /// Of the turn opened last.
  int32_t index() const { return index_; }
  int32_t openStart() const { return start_; }
  size_t count() const { return count_; }

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

  Status run() {
    if (!validSizes() || outputsOverlap()) return fail(StatusCode::invalidArgument);
    const Status status = args_.by == SegmentBy::spans ? readSpans() : scanTrajectories();
    if (status) args_.count[0] = static_cast<int32_t>(turns_.count());
    return status;
  }

 private:
  bool validSizes() const {
    if (args_.count.size < 1 || offsets_.empty() || offsets_[0] != 0) return false;
    if (!std::is_sorted(offsets_.begin(), offsets_.end())) return false;
    const size_t tokens = static_cast<size_t>(tokenCount());
    if (args_.actionMask && args_.actionMask.size != tokens) return false;
    switch (args_.by) {
      case SegmentBy::turnIds:
        return args_.turnIds.size == tokens;
      case SegmentBy::actionMask:
        return args_.actionMask.size == tokens;
      case SegmentBy::delimiters:
        return args_.tokenIds.size == tokens;
      case SegmentBy::spans:
        return args_.spanStarts.size == args_.spanEnds.size;
    }
    return false;
  }

  bool outputsOverlap() const {
    return anyOverlap(
        {args_.starts, args_.ends, args_.tokens, args_.trajectory, args_.index, args_.count},
        {args_.trajectoryOffsets, args_.actionMask, args_.turnIds, args_.tokenIds, args_.spanStarts, args_.spanEnds});
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
    const int32_t* seen = args_.index.data + firstTurn_;
    const int32_t* seenEnd = args_.index.data + turns_.count();
    if (seen != seenEnd && id <= turns_.index()) {
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
      if (!turns_.open(start, trajectory_, nextIndex())) return fail(StatusCode::invalidArgument);
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
    if (!turns_.open(n, trajectory_, index)) return fail(StatusCode::invalidArgument);
    return countToken(n);
  }

  Status countToken(int32_t n) { return countTokens(n, n + 1); }

  /// Counts tokens of the open turn; outside a turn no token may be in the loss. Without a mask it takes no loop:
  /// offsets and spans alone, which no array of N elements backs, could claim two billion tokens.
  Status countTokens(int32_t first, int32_t last) {
    if (!args_.actionMask) {
      if (turns_.isOpen()) turns_.addTokens(last - first);
      return {};
    }
    for (int32_t n = first; n < last; ++n) {
      if (args_.actionMask[n] != 1) continue;
      if (!turns_.isOpen()) return fail(StatusCode::maskOutsideTurn, n);
      turns_.addTokens(1);
    }
    return {};
  }

  const SegmentTurns& args_;
  const std::vector<int32_t> offsets_;
  TurnWriter turns_;
  int32_t trajectory_ = -1;
  size_t firstTurn_ = 0;  // first turn of the trajectory at hand
};

}  // namespace

Status segmentTurns(const SegmentTurns& args, Context&) {
  try {
    return Segmenter(args).run();
  } catch (const std::bad_alloc&) {
    return fail(StatusCode::outOfMemory);
  }
}

}  // namespace turnwise::cpu
