// A clipped weight that is not differentiated, on the token's log-prob: no dead zone, and a loss whose value is that of
// a log-likelihood.
#pragma once
#include "ppo.h"

namespace turnwise {

/// -weight A logProb. Multiplied even by a weight of 0, so that a NaN log-prob does not pass for a number.
TURNWISE_HD inline void setDetachedWeight(double weight, const GateInput& in, GateTerm& term) {
  term.direct = -weight * in.advantage;
  term.value = term.direct * in.logProb;
}

/// CISPO (arXiv 2506.13585); with bounds 1 and 1 REINFORCE:
///   f = -sg(W) A logProb,  W = clip(rho, 1 - low c, 1 + high c)
TURNWISE_HD inline GateTerm detachedTerm(const Gate& gate, const GateInput& in) {
  GateTerm term;
  if (in.advantage == 0) return term;
  const PpoBounds bounds = ppoBounds(gate, in.clipScale);
  const double rho = in.ratio.value;
  term.clippedLow = rho < bounds.low;
  term.clippedHigh = rho > bounds.high;
  setDetachedWeight(term.clippedHigh ? bounds.high : term.clippedLow ? bounds.low : rho, in, term);
  return term;
}

}  // namespace turnwise
