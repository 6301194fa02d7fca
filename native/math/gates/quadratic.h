// The unclipped surrogate with a quadratic penalty on the distance from the old policy.
#pragma once
#include "term.h"

namespace turnwise {

/// A penalty instead of a bound; the only gate that moves tokens of A = 0.
///   of the ratio, R2VPO (arXiv 2601.03320)  f = -A rho + coef (rho - 1)^2,  df/dx = (-A + 2 coef (rho - 1)) rho
///   of the log-ratio, DRO (arXiv 2405.19107)  f = -A logProb + coef x^2 / 2,  df/dx = coef x, beside -A of the
///   log-prob
TURNWISE_HD inline GateTerm quadraticTerm(const Gate& gate, const GateInput& in) {
  GateTerm term;
  const double rho = in.ratio.value, x = in.ratio.logRatio;
  if (gate.measure == Measure::logRatio) {
    if (in.advantage != 0) {
      term.direct = -in.advantage;
      term.value = -in.advantage * in.logProb;
    }
    if (gate.coef != 0) term.value += 0.5 * gate.coef * x * x;
    if (!in.ratio.clamped && gate.coef != 0) term.derivative = gate.coef * x;
    return term;
  }
  const double excess = rho - 1.0;
  if (in.advantage != 0) term.value = -in.advantage * rho;
  if (gate.coef != 0) term.value += gate.coef * excess * excess;
  const double slope = -in.advantage + (gate.coef != 0 ? 2.0 * gate.coef * excess : 0.0);
  if (!in.ratio.clamped && slope != 0) term.derivative = slope * rho;
  return term;
}

}  // namespace turnwise
