// The unclipped surrogate of the tokens that have not moved too far; the others are out.
#pragma once
#include <cmath>

#include "term.h"

namespace turnwise {

/// sign(p - q) KL(Bernoulli(q) || Bernoulli(p)), p = exp(logProb), q = exp(oldLogProb): the divergence of the two
/// policies when only "this token or another" is told apart. The complements come from expm1, because 1 - p would lose
/// the digits of a likely token. A certain old token (q = 1) has no second part; a log-prob above 0 counts as certain.
TURNWISE_HD inline double signedBernoulliKl(double logProb, double oldLogProb) {
  const double now = logProb > 0 ? 0.0 : logProb, old = oldLogProb > 0 ? 0.0 : oldLogProb;
  if (now == old) return 0.0;
  // From 0, so that a certain token leaves 0 and not -0, whose quotients have the wrong sign.
  const double q = exp(old), other = 0.0 - ::expm1(now), oldOther = 0.0 - ::expm1(old);
  const double same = q == 0 ? 0.0 : q * (old - now);
  const double rest = oldOther == 0 ? 0.0 : oldOther * ::log1p((oldOther - other) / other);
  return now > old ? same + rest : -(same + rest);
}

TURNWISE_HD inline double movedBy(Measure measure, const GateInput& in) {
  switch (measure) {
    case Measure::ratio:
      return in.ratio.value - 1.0;
    case Measure::logRatio:
      return in.ratio.logRatio;
    case Measure::probability:
      return exp(in.logProb) - exp(in.oldLogProb);
    case Measure::bernoulliKl:
      break;
  }
  return signedBernoulliKl(in.logProb, in.oldLogProb);
}

/// DPPO (arXiv 2602.04879): kept iff A > 0 ? moved <= high : moved >= -low.
///   f = df/dx = -A rho where kept, else 0
TURNWISE_HD inline GateTerm maskTerm(const Gate& gate, const GateInput& in) {
  GateTerm term;
  if (in.advantage == 0) return term;
  const double moved = movedBy(gate.measure, in);
  const bool kept = in.advantage > 0 ? moved <= gate.high : moved >= -gate.low;
  term.masked = !kept;
  term.clippedHigh = !kept && in.advantage > 0;
  term.clippedLow = !kept && in.advantage < 0;
  if (!kept) return term;
  term.value = -in.advantage * in.ratio.value;
  if (!in.ratio.clamped) term.derivative = term.value;
  return term;
}

}  // namespace turnwise
