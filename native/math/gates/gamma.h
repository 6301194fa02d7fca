// A weight of the shape of a gamma density in the ratio, not differentiated, on the token's log-prob.
#pragma once
#include "detached.h"

namespace turnwise {

/// VESPO (arXiv 2602.10693), a gamma density in the ratio, scaled to 1 at rho = 1:
///   f = -sg(phi) A logProb,  log phi = rate + shape x - rate rho;  a phi that is not finite counts as 0
TURNWISE_HD inline GateTerm gammaTerm(const Gate& gate, const GateInput& in) {
  GateTerm term;
  if (in.advantage == 0) return term;
  const double shape = in.advantage > 0 ? gate.positive : gate.negative;
  const double rate = in.advantage > 0 ? gate.positiveRate : gate.negativeRate;
  const double phi = exp(rate + shape * in.ratio.logRatio - rate * in.ratio.value);
  setDetachedWeight(phi - phi == 0 ? phi : 0.0, in, term);
  return term;
}

}  // namespace turnwise
