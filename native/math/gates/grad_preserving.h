// The clipped surrogate whose clipped tokens keep a gradient of bounded size.
#pragma once
#include <cmath>

#include "ppo.h"

namespace turnwise {

/// The value of PPO's clip without dual; a clipped token of a preserved side has the gradient of its bound, as if the
/// bound were a frozen weight of the log-prob (GPPO, arXiv 2508.07629; ATPO's soft clip):
///   df/dx = -A bound   (also where the ratio's own clamp is active: it does not hold the log-prob)
TURNWISE_HD inline GateTerm gradPreservingTerm(const Gate& gate, const GateInput& in) {
  Gate single = gate;
  single.dual = HUGE_VAL;
  GateTerm term = ppoTerm(single, in.advantage, in.ratio, in.clipScale);
  const bool preserved =
      (term.clippedLow && gate.preserve != Side::high) || (term.clippedHigh && gate.preserve != Side::low);
  if (preserved) term.derivative = term.value;
  return term;
}

}  // namespace turnwise
