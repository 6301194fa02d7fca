// What is checked and prepared before the first loss term: sizes, turns, aggregation weights, frozen weights, and
// dLoss/dEntropy, which depends on masks and denominators only.
#include <algorithm>
#include <limits>
#include <new>

#include "../../math/aggregate.h"
#include "../valid_turns.h"
#include "loss_terms.h"

namespace turnwise::cpu {

LossTerms::LossTerms(const Surrogate& args) : args_(args) {
  status_.code = StatusCode::invalidArgument;
  if (!validSizes() || !validStages() || outputsOverlap()) return;
  klTermOn_ = args.kl.coef != 0 && args.refLogProbs;
  entropyBonusOn_ = args.entropyCoef != 0 && args.entropy;
  readsRollout_ = FrozenWeights::readRollout(args.weights);
  weighsTrajectories_ = FrozenWeights::needTrajectory(args.weights);
  denominator_ = lossDenominator(args.aggregate, args.denominators);
  try {
    turns_ = TurnSpans(args.turns);
    if (!turns_.valid(args.logProbs.size) || !copyPrompts()) {
      turns_ = TurnSpans();
      return;
    }
    prepareAggregation();
    weights_ = FrozenWeights(args, turns_);
    terms_.resize(args.logProbs.size);
    unitBounds_ = turns_.unitBounds(weighsTrajectories_ ? Level::sequence : args.ratio.level);
  } catch (const std::bad_alloc&) {
    turns_ = TurnSpans();
    status_.code = StatusCode::outOfMemory;
    return;
  }
  status_.code = StatusCode::ok;
  std::fill_n(args.coefficients.data, args.coefficients.size, 0.0);
  prepareEntropyCoefficients();
}

bool LossTerms::validSizes() const {
  const size_t tokens = args_.logProbs.size;
  const size_t turns = args_.turns.starts.size;
  const size_t signals = args_.advantageLevel == Level::token ? tokens : turns;
  return tokens <= std::numeric_limits<uint32_t>::max() && args_.oldLogProbs.size == tokens &&
         args_.actionMask.size == tokens && args_.coefficients.size == tokens &&
         (!args_.refLogProbs || args_.refLogProbs.size == tokens) && (!args_.entropy || args_.entropy.size == tokens) &&
         (!args_.entropyCoefficients || args_.entropyCoefficients.size == tokens) && FrozenWeights::validSizes(args_) &&
         args_.advantageLevel != Level::sequence && args_.advantages.size == signals &&
         (!args_.clipScale || args_.clipScale.size == signals) &&
         (!args_.ratioTargets || args_.ratioTargets.size == signals) &&
         args_.metrics.size == EnumNames<Metric>::count && sameLengths(args_.turns);
}

/// Whether the stages fit together and have what they read.
bool LossTerms::validStages() const {
  const Ratio& ratio = args_.ratio;
  if (ratio.reduce == Reduce::max || (args_.entropyCoef != 0 && !args_.entropy)) return false;
  if (args_.kl.ratioCorrection && args_.kl.coef != 0 && ratio.level != Level::token) return false;
  if (args_.gate.kind == GateKind::l1Target) return static_cast<bool>(args_.ratioTargets);
  if (!couplesUnits(args_)) return true;
  return args_.groups && ratio.level == Level::sequence && ratio.form == RatioForm::trueMean &&
         ratio.reduce == Reduce::mean && args_.weights.size == 0;
}

bool LossTerms::outputsOverlap() const {
  const Turns& turns = args_.turns;
  return anyOverlap({args_.coefficients, args_.entropyCoefficients, args_.metrics},
                    {args_.logProbs, args_.oldLogProbs, args_.refLogProbs, args_.rolloutLogProbs, args_.entropy,
                     args_.tokenWeights, args_.actionMask, turns.starts, turns.ends, turns.tokens, turns.trajectory,
                     turns.index, args_.groups, args_.advantages, args_.clipScale, args_.ratioTargets});
}

/// The prompt of each trajectory with turns, where prompts matter; false where one is missing.
bool LossTerms::copyPrompts() {
  if (!couplesUnits(args_)) return true;
  const std::vector<int32_t>& trajectory = turns_.trajectory();
  if (!trajectory.empty() && static_cast<size_t>(trajectory.back()) >= args_.groups.size) return false;
  const std::vector<size_t> bounds = turns_.unitBounds(Level::sequence);
  for (size_t u = 0; u + 1 < bounds.size(); ++u) prompts_.push_back(args_.groups[trajectory[bounds[u]]]);
  return true;
}

void LossTerms::prepareAggregation() {
  const size_t count = turns_.count();
  const std::vector<int32_t>& tokens = turns_.tokens();
  const std::vector<int32_t>& trajectory = turns_.trajectory();
  weight_.resize(count);
  for (size_t first = 0; first < count;) {
    size_t last = first;
    double trajectoryTokens = 0;
    while (last < count && trajectory[last] == trajectory[first]) trajectoryTokens += tokens[last++];
    for (; first < last; ++first) {
      weight_[first] = termWeight(args_.aggregate, tokens[first], trajectoryTokens, args_.horizon);
    }
  }
}

void LossTerms::prepareEntropyCoefficients() {
  if (!args_.entropyCoefficients) return;
  std::fill_n(args_.entropyCoefficients.data, args_.entropyCoefficients.size, 0.0);
  if (!entropyBonusOn_ || denominator_ == 0) return;
  forEachLossToken({0, turns_.count()},
                   [&](size_t k, size_t n) { args_.entropyCoefficients[n] = -args_.entropyCoef * share(k); });
}

}  // namespace turnwise::cpu
