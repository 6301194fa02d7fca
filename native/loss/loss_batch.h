// A batch as its loss terms see it, on the CPU and on the GPU alike: the op's arguments, and what is prepared from them
// before the first term. Trivially copyable; owns nothing.
#pragma once
#include "../math/aggregate.h"
#include "../math/crew.h"
#include "../math/ratio.h"

namespace turnwise {

/// What one loss token adds to loss and metrics. Kept per token, because sums whose bits are independent of the order
/// need the largest term before the first addition.
struct Term {
  enum Flag : uint16_t {
    kClippedLow = 1,
    kClippedHigh = 2,
    kClippedDual = 4,
    kClampedLogRatio = 8,
    kClampedKl = 16,
    kNonFinite = 32,
    kMasked = 64,
    kTruncated = 128,
    kEvaluated = 256,
  };
  double policy;  // already times the aggregation weight
  double weight;  // c of the aggregation
  double kl;
  double oldKlK3;
  double ratio;
  uint32_t token;
  uint16_t flags;
};
static_assert(sizeof(Term) <= 48, "the memory target of a step is 64 bytes a token");

/// The turns [first, last) of one turn or one trajectory.
struct TurnRange {
  size_t first;
  size_t last;
};

/// Whether the trajectories of a prompt are compared with one another: no coefficient is known before all are read.
TURNWISE_HD inline bool couplesUnits(const Surrogate& args) {
  return args.gate.kind == GateKind::logSumExp;
}

template <class Test>
TURNWISE_HD bool anyWeight(const WeightList& weights, const Test& test) {
  for (size_t i = 0; i < weights.size; ++i) {
    if (test(weights[i])) return true;
  }
  return false;
}

TURNWISE_HD inline bool readsRollout(const WeightList& weights) {
  return anyWeight(weights, [](const Weight& weight) {
    return weight.kind == WeightKind::importance || weight.kind == WeightKind::reject;
  });
}

/// Whether a token's weight depends on the current log-probs of its whole trajectory.
TURNWISE_HD inline bool weighsTrajectories(const WeightList& weights) {
  return anyWeight(weights, [](const Weight& weight) { return weight.kind == WeightKind::offPolicyMask; });
}

/// Whether the prompts must be counted: the loss is averaged over them, and nobody says how many there are.
TURNWISE_HD inline bool countsPrompts(const Surrogate& args) {
  return args.aggregate == Aggregate::promptMean && !args.denominators;
}
TURNWISE_HD inline bool readsPrompts(const Surrogate& args) {
  return couplesUnits(args) || countsPrompts(args);
}

struct LossBatch {
  Surrogate args;  // no index in it is used before it has been checked
  bool klTermOn = false;
  bool entropyBonusOn = false;
  bool readsRollout = false;
  bool weighsTrajectories = false;
  double* denominator = nullptr;       // [1] D of the aggregation
  double* turnWeight = nullptr;        // [K] aggregation weight c of the turn's tokens
  double* turnShare = nullptr;         // [K] c / D, the turn's tokens' part in the loss; 0 where D = 0
  double* weightProduct = nullptr;     // [N] of the frozen weights; null without weights
  uint8_t* weightTruncated = nullptr;  // [N] likewise
  Term* terms = nullptr;               // [N]

  LossBatch() = default;
  explicit LossBatch(const Surrogate& surrogate)
      : args(surrogate),
        klTermOn(args.kl.coef != 0 && args.refLogProbs),
        entropyBonusOn(args.entropyCoef != 0 && args.entropy),
        readsRollout(turnwise::readsRollout(args.weights)),
        weighsTrajectories(turnwise::weighsTrajectories(args.weights)) {}

  TURNWISE_HD int32_t promptOf(size_t turn) const {
    return args.groups[static_cast<size_t>(args.turns.trajectory[turn])];
  }
  TURNWISE_HD size_t tokenCount() const { return args.logProbs.size; }
  TURNWISE_HD size_t turnCount() const { return args.turns.starts.size; }
  /// Whether a token's coefficient depends on its own log-prob alone.
  TURNWISE_HD bool perToken() const { return args.ratio.level == Level::token && !weighsTrajectories; }
  /// A unit is what must be read whole before any of its coefficients is known: a trajectory where the ratio or a
  /// weight belongs to it, else a turn.
  TURNWISE_HD Level unitLevel() const { return weighsTrajectories ? Level::sequence : args.ratio.level; }

  TURNWISE_HD bool inLoss(size_t token) const { return args.actionMask[token] == 1; }
  TURNWISE_HD size_t signalIndex(size_t turn, size_t token) const {
    return args.advantageLevel == Level::token ? token : turn;
  }
  TURNWISE_HD double logRatio(size_t token) const {
    return static_cast<double>(args.logProbs[token]) - static_cast<double>(args.oldLogProbs[token]);
  }
  TURNWISE_HD TokenLogRatio ownLogRatio(size_t turn, size_t token) const {
    return tokenLogRatio(logRatio(token), args.advantages[signalIndex(turn, token)], args.ratio);
  }
  TURNWISE_HD double entropyCoefficient(size_t turn) const {
    return entropyBonusOn && *denominator != 0 ? -args.entropyCoef * turnShare[turn] : 0.0;
  }
};

/// visit(turn, token) for the loss tokens of some turns. A member of the crew takes the same tokens every time.
template <class Crew, class Visit>
TURNWISE_HD void forEachLossToken(const Crew& crew, const LossBatch& batch, const TurnRange& turns,
                                  const Visit& visit) {
  for (size_t k = turns.first; k < turns.last; ++k) {
    const auto end = static_cast<size_t>(batch.args.turns.ends[k]);
    for (size_t n = static_cast<size_t>(batch.args.turns.starts[k]) + crew.rank(); n < end; n += crew.size()) {
      if (batch.inLoss(n)) visit(k, n);
    }
  }
}

/// Loss tokens, and turns and trajectories with one: what the loss is averaged over where no denominators are given.
struct LossCounts {
  uint64_t tokens = 0, turns = 0, sequences = 0;
  TURNWISE_HD friend LossCounts operator+(const LossCounts& a, const LossCounts& b) {
    return {a.tokens + b.tokens, a.turns + b.turns, a.sequences + b.sequences};
  }
};

TURNWISE_HD inline LossCounts countTrajectory(const LossBatch& batch, const TurnRange& trajectory) {
  LossCounts counts;
  for (size_t k = trajectory.first; k < trajectory.last; ++k) {
    counts.tokens += static_cast<uint64_t>(batch.args.turns.tokens[k]);
    counts.turns += batch.args.turns.tokens[k] > 0 ? 1 : 0;
  }
  counts.sequences = counts.turns > 0 ? 1 : 0;
  return counts;
}

/// D from the counts of all trajectories, and how many prompts have one with a loss token.
TURNWISE_HD inline double countedDenominator(const LossBatch& batch, const LossCounts& counts, size_t prompts) {
  return lossDenominator(batch.args.aggregate, {static_cast<double>(counts.tokens), static_cast<double>(counts.turns),
                                                static_cast<double>(counts.sequences), static_cast<double>(prompts)});
}

/// The aggregation weights of one trajectory's turns, from their loss tokens.
TURNWISE_HD inline void aggregateTrajectory(const LossBatch& batch, const TurnRange& trajectory) {
  const View<const int32_t>& tokens = batch.args.turns.tokens;
  double trajectoryTokens = 0;
  for (size_t k = trajectory.first; k < trajectory.last; ++k) trajectoryTokens += tokens[k];
  for (size_t k = trajectory.first; k < trajectory.last; ++k) {
    batch.turnWeight[k] = termWeight(batch.args.aggregate, tokens[k], trajectoryTokens, batch.args.horizon);
    batch.turnShare[k] = *batch.denominator != 0 ? batch.turnWeight[k] / *batch.denominator : 0.0;
  }
}

}  // namespace turnwise
