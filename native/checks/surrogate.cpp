#include "surrogate.h"

#include <limits>

#include "../loss/loss_batch.h"
#include "arguments.h"

namespace turnwise {

namespace {

/// Whether every weight has the arrays it reads, of one value a token.
bool validWeights(const Surrogate& args) {
  const WeightList& weights = args.weights;
  if (weights.size > WeightList::capacity) return false;
  const bool given = anyWeight(weights, [](const Weight& weight) { return weight.kind == WeightKind::given; });
  const bool importanceOfMax = anyWeight(weights, [](const Weight& weight) {
    return weight.kind == WeightKind::importance && weight.reduce == Reduce::max;
  });
  const size_t tokens = args.logProbs.size;
  return !importanceOfMax && (!readsRollout(weights) || args.rolloutLogProbs) && (!given || args.tokenWeights) &&
         (!args.rolloutLogProbs || args.rolloutLogProbs.size == tokens) &&
         (!args.tokenWeights || args.tokenWeights.size == tokens);
}

bool validSizes(const Surrogate& args) {
  const size_t tokens = args.logProbs.size;
  const size_t turns = args.turns.starts.size;
  const size_t signals = args.advantageLevel == Level::token ? tokens : turns;
  return tokens <= std::numeric_limits<uint32_t>::max() && args.oldLogProbs.size == tokens &&
         args.actionMask.size == tokens && args.coefficients.size == tokens &&
         (!args.refLogProbs || args.refLogProbs.size == tokens) && (!args.entropy || args.entropy.size == tokens) &&
         (!args.entropyCoefficients || args.entropyCoefficients.size == tokens) && validWeights(args) &&
         args.advantageLevel != Level::sequence && args.advantages.size == signals &&
         (!args.clipScale || args.clipScale.size == signals) &&
         (!args.ratioTargets || args.ratioTargets.size == signals) && args.metrics.size == EnumNames<Metric>::count &&
         sameLengths(args.turns);
}

/// Whether the stages fit together and have what they read.
bool validStages(const Surrogate& args) {
  const Ratio& ratio = args.ratio;
  if (ratio.reduce == Reduce::max || (args.entropyCoef != 0 && !args.entropy)) return false;
  if (args.kl.ratioCorrection && args.kl.coef != 0 && ratio.level != Level::token) return false;
  if (readsPrompts(args) && !args.groups) return false;
  if (args.gate.kind == GateKind::l1Target) return static_cast<bool>(args.ratioTargets);
  if (!couplesUnits(args)) return true;
  return ratio.level == Level::sequence && ratio.form == RatioForm::trueMean && ratio.reduce == Reduce::mean &&
         args.weights.size == 0;
}

bool outputsOverlap(const Surrogate& args) {
  const Turns& turns = args.turns;
  return anyOverlap({args.coefficients, args.entropyCoefficients, args.metrics},
                    {args.logProbs, args.oldLogProbs, args.refLogProbs, args.rolloutLogProbs, args.entropy,
                     args.tokenWeights, args.actionMask, turns.starts, turns.ends, turns.tokens, turns.trajectory,
                     turns.index, args.groups, args.advantages, args.clipScale, args.ratioTargets});
}

}  // namespace

bool validArguments(const Surrogate& args) {
  return validSizes(args) && validStages(args) && !outputsOverlap(args);
}

}  // namespace turnwise
