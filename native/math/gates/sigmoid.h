// A soft gate in place of the clip.
#pragma once
#include "../clip_scale.h"
#include "term.h"

namespace turnwise {

/// SAPO (arXiv 2511.20347), s = sigmoid(tau (rho - 1)), tau by the sign of A:
///   f = -A (4 / tau) s,  df/dx = -4 A s (1 - s) rho
/// 1 - s is taken as sigmoid(-...), which keeps its digits where s rounds to 1. Where a factor has vanished so has the
/// derivative: the ratio beside it may have overflown.
TURNWISE_HD inline GateTerm sigmoidTerm(const Gate& gate, const GateInput& in) {
  GateTerm term;
  if (in.advantage == 0) return term;
  const double temperature = in.advantage > 0 ? gate.positive : gate.negative;
  const double z = temperature * (in.ratio.value - 1.0);
  const double s = sigmoid(z);
  term.value = -in.advantage * (4.0 / temperature) * s;
  const double slope = s * sigmoid(-z);
  if (!in.ratio.clamped && slope != 0) term.derivative = -4.0 * in.advantage * slope * in.ratio.value;
  return term;
}

}  // namespace turnwise
