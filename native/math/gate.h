// The clipped surrogate of one token: value, and derivative with respect to the log-ratio.
#pragma once
#include "../ops.h"
#include "ratio.h"

namespace turnwise {

struct GateTerm {
  double value;
  double derivative;  // of value, d / d log-ratio; exactly 0 where a bound or the ratio's clamp is active
  bool clippedLow;
  bool clippedHigh;
  bool clippedDual;
};

/// PPO clip (arXiv 1707.06347) with bounds scaled per turn (A2TGPO, arXiv 2605.06200) and dual clip (arXiv 1912.09729):
///   f = max(-A rho, -A clip(rho, 1 - low c, 1 + high c));  for A < 0 also f = min(f, -A dual)
///   df/dx = -A rho where rho itself is the branch taken, else 0
///
/// Since -A is common to all branches, the choice is made between ratios and multiplied once. A = 0 leaves before the
/// product: an overflown ratio would make it 0 * inf = NaN.
TURNWISE_HD inline GateTerm ppoGate(double advantage, const ImportanceRatio& ratio, double clipScale,
                                    const Gate& gate) {
  GateTerm term{0.0, 0.0, false, false, false};
  if (advantage == 0) return term;
  const double low = 1.0 - gate.low * clipScale;
  const double high = 1.0 + gate.high * clipScale;
  double chosen = ratio.value;
  if (advantage > 0 && chosen > high) {
    term.clippedHigh = true;
    chosen = high;
  } else if (advantage < 0 && chosen < low) {
    term.clippedLow = true;
    chosen = low;
  }
  if (advantage < 0 && chosen > gate.dual) {
    term.clippedDual = true;
    chosen = gate.dual;
  }
  term.value = -advantage * chosen;
  const bool live = !(ratio.clamped || term.clippedLow || term.clippedHigh || term.clippedDual);
  term.derivative = live ? term.value : 0.0;
  return term;
}

}  // namespace turnwise
