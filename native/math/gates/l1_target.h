// Weighted L1 regression of the ratio to a target inside a band.
#pragma once
#include "../clip_scale.h"
#include "term.h"

namespace turnwise {

/// BPO, GBPO (arXiv 2604.18578), the band [1 - low, 1 + high] without clip scale, u = ratioTarget:
///   f = |A| |rho - rho*|,  rho* = 1 - low + (low + high) sigmoid(u),  df/dx = |A| sign(rho - rho*) rho
TURNWISE_HD inline GateTerm l1TargetTerm(const Gate& gate, const GateInput& in) {
  GateTerm term;
  if (in.advantage == 0) return term;
  const double size = in.advantage < 0 ? -in.advantage : in.advantage;
  const double rho = in.ratio.value;
  const double distance = rho - (1.0 - gate.low + (gate.low + gate.high) * sigmoid(in.ratioTarget));
  term.clippedLow = rho < 1.0 - gate.low;
  term.clippedHigh = rho > 1.0 + gate.high;
  term.value = size * (distance < 0 ? -distance : distance);
  if (in.ratio.clamped || distance == 0) return term;
  // A NaN distance has a NaN sign.
  term.derivative = (distance < 0 ? -size : distance > 0 ? size : distance) * rho;
  return term;
}

}  // namespace turnwise
