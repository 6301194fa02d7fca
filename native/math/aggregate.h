// Aggregation: how much one token's term counts. loss = (sum of weight * term) / denominator.
#pragma once
#include "../ops.h"

namespace turnwise {

/// Weight c of a loss token's term in the numerator; `turnTokens` = |u|, loss tokens of its turn, `trajectoryTokens` =
/// |y|.
///   token-mean, token-sum, seq-mean-token-sum  1      seq-mean-token-mean   1 / |y|
///   seq-mean-token-sum-norm  1 / horizon (Dr.GRPO)    turn-mean-token-mean  1 / |u|
///   prompt-mean  1 (REAL, arXiv 2602.05630)
/// verl adds 1e-8 to |y| (6e-8 of the loss); here it is exact. Without loss tokens nothing is weighted: 0, not 1 / 0.
TURNWISE_HD inline double termWeight(Aggregate aggregate, double turnTokens, double trajectoryTokens, double horizon) {
  switch (aggregate) {
    case Aggregate::seqMeanTokenMean:
      return trajectoryTokens > 0 ? 1.0 / trajectoryTokens : 0.0;
    case Aggregate::seqMeanTokenSumNorm:
      return 1.0 / horizon;
    case Aggregate::turnMeanTokenMean:
      return turnTokens > 0 ? 1.0 / turnTokens : 0.0;
    case Aggregate::tokenMean:
    case Aggregate::tokenSum:
    case Aggregate::seqMeanTokenSum:
    case Aggregate::promptMean:
      break;
  }
  return 1.0;
}

/// The denominator D: global counts, so that the gradient does not depend on the split into micro-batches.
TURNWISE_HD inline double lossDenominator(Aggregate aggregate, const Denominators& denominators) {
  switch (aggregate) {
    case Aggregate::tokenMean:
      return denominators.tokens;
    case Aggregate::turnMeanTokenMean:
      return denominators.turns;
    case Aggregate::seqMeanTokenMean:
    case Aggregate::seqMeanTokenSum:
    case Aggregate::seqMeanTokenSumNorm:
      return denominators.sequences;
    case Aggregate::promptMean:
      return denominators.prompts;
    case Aggregate::tokenSum:
      break;
  }
  return 1.0;
}

}  // namespace turnwise
