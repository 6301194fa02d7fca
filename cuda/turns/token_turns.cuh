// Turns that the tokens themselves tell: by ids, mask runs or delimiters.
//
// The CPU reads token after token and knows what came before. Here each member of the team reads a stretch of adjacent
// tokens, and what came before its stretch follows from what every stretch before it does: first to whether a turn is
// open (a function of whether one was open before), then to the counts. Three walks along the tokens, nothing per token
// in between.
#pragma once
#include "segmentation.cuh"

namespace turnwise::cuda {

/// What a token does to the turn at hand.
struct TokenStep {
  bool endsBefore = false;  // the open turn ends before this token
  bool opens = false;       // a turn begins with it
  bool inside = false;      // it lies in a turn
  bool endsAfter = false;   // which ends with it
  StatusCode error = StatusCode::ok;
  __device__ bool staysOpen() const { return inside && !endsAfter; }
};

/// The tokens as their ids, mask or delimiters tell it.
class TokenSource {
 public:
  __device__ explicit TokenSource(const SegmentTurns& args)
      : by_(args.by),
        ids_(args.turnIds.data),
        tokens_(args.tokenIds.data),
        mask_(args.actionMask.data),
        open_(args.openToken),
        close_(args.closeToken),
        mustClose_(args.by == SegmentBy::delimiters && args.unclosed == Unclosed::fail) {}

  __device__ bool hasIds() const { return by_ == SegmentBy::turnIds; }
  /// Whether a turn that is open at its trajectory's end is an error.
  __device__ bool mustClose() const { return mustClose_; }
  __device__ int32_t id(size_t n) const { return hasIds() ? ids_[n] : 0; }
  /// As the mask says; without one, what lies in a turn.
  __device__ bool inLoss(size_t n, bool isInside) const { return mask_ ? mask_[n] == 1 : isInside; }

  /// `isOpen` only where the token before is of the same trajectory and in a turn.
  __device__ TokenStep step(size_t n, bool isOpen) const {
    if (by_ == SegmentBy::turnIds) return stepById(n, isOpen);
    return by_ == SegmentBy::actionMask ? stepByMask(n, isOpen) : stepByDelimiter(n, isOpen);
  }

 private:
  __device__ TokenStep stepById(size_t n, bool isOpen) const {
    TokenStep step;
    step.inside = ids_[n] >= 0;
    const bool continues = isOpen && ids_[n] == ids_[n - 1];
    step.endsBefore = isOpen && !continues;
    step.opens = step.inside && !continues;
    if (ids_[n] < -1) step.error = StatusCode::turnOrder;
    return step;
  }

  __device__ TokenStep stepByMask(size_t n, bool isOpen) const {
    TokenStep step;
    step.inside = mask_[n] == 1;
    step.endsBefore = isOpen && !step.inside;
    step.opens = !isOpen && step.inside;
    return step;
  }

  /// What a token means depends on the state first, so that one token may serve as both delimiters.
  __device__ TokenStep stepByDelimiter(size_t n, bool isOpen) const {
    const bool isOpening = tokens_[n] == open_, isClosing = tokens_[n] == close_;
    TokenStep step;
    step.inside = isOpen || isOpening;
    step.opens = !isOpen && isOpening;
    step.endsAfter = isOpen && isClosing;
    if (!isOpen && isClosing && !isOpening) step.error = StatusCode::turnUnopened;
    if (isOpen && isOpening && !isClosing) step.error = StatusCode::turnNested;
    return step;
  }

  SegmentBy by_;
  const int32_t* ids_;
  const int32_t* tokens_;
  const uint8_t* mask_;
  int32_t open_, close_;
  bool mustClose_;
};

/// Whether a turn is open after a stretch, by whether one was open before it.
struct Passage {
  uint32_t fromClosed, fromOpen;
  __device__ uint32_t operator()(uint32_t isOpen) const { return isOpen ? fromOpen : fromClosed; }
};
struct PassageAfter {
  __device__ Passage operator()(const Passage& a, const Passage& b) const { return {b(a.fromClosed), b(a.fromOpen)}; }
};

/// What a stretch of tokens adds up to.
struct Tally {
  uint32_t turns = 0;         // that begin in it
  uint32_t inTrajectory = 0;  // those of them that belong to its last trajectory
  uint32_t lossTokens = 0;    // of its last turn
  int32_t start = 0;          // of its last turn, if one begins in it
  int32_t id = 0;             // likewise
  uint32_t trajectories = 0;  // that begin in it

  __device__ void beginTrajectory(size_t) {
    ++trajectories;
    inTrajectory = 0;
  }
  __device__ void open(size_t n, size_t, int32_t turnId) {
    ++turns;
    ++inTrajectory;
    lossTokens = 0;
    start = static_cast<int32_t>(n);
    id = turnId;
  }
  __device__ void count(size_t, bool isLossToken) { lossTokens += isLossToken; }
  __device__ void close(size_t) {}
  __device__ void unclosed(size_t) {}
  __device__ void fail(size_t, StatusCode) {}
};
struct TallyAfter {
  __device__ Tally operator()(const Tally& a, const Tally& b) const {
    Tally both = b.turns > 0 ? b : a;
    both.turns = a.turns + b.turns;
    both.inTrajectory = b.trajectories > 0 ? b.inTrajectory : a.inTrajectory + b.inTrajectory;
    both.lossTokens = b.turns > 0 ? b.lossTokens : a.lossTokens + b.lossTokens;
    both.trajectories = a.trajectories + b.trajectories;
    return both;
  }
};

/// Writes the turns, and finds what is wrong with them.
class TurnWriter {
 public:
  __device__ TurnWriter(const Segmentation& segmentation, bool hasIds, const Tally& before)
      : out_(segmentation.args), capacity_(segmentation.capacity), hasIds_(hasIds), tally_(before) {}

  __device__ void beginTrajectory(size_t n) { tally_.beginTrajectory(n); }
  __device__ void open(size_t n, size_t trajectory, int32_t id) {
    const size_t turn = tally_.turns;
    if (hasIds_ && tally_.inTrajectory > 0 && id <= tally_.id) {
      fail(n, StatusCode::turnOrder);
    } else if (turn < capacity_) {
      out_.starts[turn] = static_cast<int32_t>(n);
      out_.trajectory[turn] = static_cast<int32_t>(trajectory);
      out_.index[turn] = hasIds_ ? id : static_cast<int32_t>(tally_.inTrajectory);
    }
    tally_.open(n, trajectory, id);
  }
  __device__ void count(size_t n, bool isLossToken) {
    tally_.count(n, isLossToken);
    if (out_.effectiveMask) out_.effectiveMask[n] = isLossToken;
  }
  __device__ void close(size_t end) {
    const size_t turn = size_t{tally_.turns} - 1;
    if (turn >= capacity_) return;
    out_.ends[turn] = static_cast<int32_t>(end);
    out_.tokens[turn] = static_cast<int32_t>(tally_.lossTokens);
  }
  /// Noticed between the tokens end - 1 and `end`.
  __device__ void unclosed(size_t end) { first_.found(2 * end, StatusCode::turnUnclosed, tally_.start); }
  __device__ void fail(size_t n, StatusCode code) { first_.found(2 * n + 1, code, static_cast<int64_t>(n)); }

  __device__ FirstError& firstError() { return first_; }

 private:
  const SegmentTurns& out_;
  size_t capacity_;
  bool hasIds_;
  Tally tally_;
  FirstError first_;
};

/// Goes through the tokens of a stretch and tells `sink`; returns whether a turn is open at its end.
template <class Sink>
__device__ bool walk(const TokenSource& source, const Trajectories& trajectories, const Team::Share& stretch,
                     bool isOpen, Sink& sink) {
  if (stretch.first == stretch.end) return isOpen;
  const auto endTrajectory = [&](size_t end) {
    if (!isOpen) return;
    if (source.mustClose()) sink.unclosed(end);
    sink.close(end);
    isOpen = false;
  };
  size_t m = trajectories.of(stretch.first);
  size_t next = trajectories.begin(m) == stretch.first ? stretch.first : trajectories.end(m);
#pragma unroll 1
  for (size_t n = stretch.first; n < stretch.end; ++n) {
    if (n == next) {
      endTrajectory(n);
      m = trajectories.of(n);
      next = trajectories.end(m);
      sink.beginTrajectory(n);
    }
    const TokenStep step = source.step(n, isOpen);
    if (step.endsBefore) sink.close(n);
    if (step.opens) sink.open(n, m, source.id(n));
    const bool inLoss = source.inLoss(n, step.inside);
    sink.count(n, inLoss && step.inside);
    if (step.error != StatusCode::ok)
      sink.fail(n, step.error);
    else if (inLoss && !step.inside)
      sink.fail(n, StatusCode::maskOutsideTurn);
    if (step.endsAfter) sink.close(n + 1);
    isOpen = step.staysOpen();
  }
  if (stretch.end == trajectories.tokenCount()) endTrajectory(stretch.end);
  return isOpen;
}

/// By all members. The offsets are valid and the arrays have their lengths.
__device__ inline void segmentByTokens(const Team& team, const Segmentation& segmentation,
                                       const Trajectories& trajectories, ErrorWord* error) {
  const TokenSource source(segmentation.args);
  const Team::Share stretch = team.share(trajectories.tokenCount());

  // The third walk begins as the first two found out. One loop: walk() is long, and inlined.
  Tally mine, total;
  Passage passage{0, 1}, whole;
  bool isOpen = false;
#pragma unroll 1
  for (unsigned round = 0; round < 3; ++round) {
    isOpen = round == 2 ? team.before(passage, Passage{0, 1}, PassageAfter(), whole)(0) : round == 1;
    mine = Tally();
    const bool after = walk(source, trajectories, stretch, isOpen, mine);
    if (round == 0) passage.fromClosed = after;
    if (round == 1) passage.fromOpen = after;
  }
  TurnWriter writer(segmentation, source.hasIds(), team.before(mine, Tally(), TallyAfter(), total));
  walk(source, trajectories, stretch, isOpen, writer);

  FirstError& first = writer.firstError();
  first.agree(team);
  if (!first.any()) {
    finish(team, segmentation, total.turns, error);
    return;
  }
  StatusCode code = first.code();
  if (source.hasIds() && code == StatusCode::turnOrder) {
    // An id that is not above the one before it either came back or never was there.
    const size_t n = first.place() / 2;
    const size_t begin = trajectories.begin(trajectories.of(n));
    bool isNew = true;
    team.forEach(n - begin, [&](size_t i) { isNew = isNew && source.id(begin + i) != source.id(n); });
    if (!team.all(isNew)) code = StatusCode::turnSplit;
  }
  first.reportAs(code, error);
}

}  // namespace turnwise::cuda
