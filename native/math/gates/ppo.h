// The clipped surrogate of one token as a function of its ratio, and its derivative by the log-ratio.
#pragma once
#include <cmath>

#include "term.h"

namespace turnwise {

/// 1 - low c and 1 + high c; an epsilon of +inf is no bound, whatever c.
struct PpoBounds {
  double low;
  double high;
};

TURNWISE_HD inline PpoBounds ppoBounds(const Gate& gate, double clipScale) {
  return {gate.low == HUGE_VAL ? -HUGE_VAL : 1.0 - gate.low * clipScale,
          gate.high == HUGE_VAL ? HUGE_VAL : 1.0 + gate.high * clipScale};
}

/// PPO clip (arXiv 1707.06347) with bounds scaled per turn (A2TGPO, arXiv 2605.06200) and dual clip (arXiv 1912.09729):
///   f = max(-A rho, -A clip(rho, 1 - low c, 1 + high c));  for A < 0 also f = min(f, -A dual)
///   df/dx = -A rho where rho itself is the branch taken, else 0
///
/// Since -A is common to all branches, the choice is made between ratios and multiplied once. A = 0 leaves before the
/// product: an overflown ratio would make it 0 * inf = NaN.
TURNWISE_HD inline GateTerm ppoTerm(const Gate& gate, double advantage, const ImportanceRatio& ratio,
                                    double clipScale) {
  GateTerm term;
  if (advantage == 0) return term;
  const PpoBounds bounds = ppoBounds(gate, clipScale);
  double chosen = ratio.value;
  if (advantage > 0 && chosen > bounds.high) {
    term.clippedHigh = true;
    chosen = bounds.high;
  } else if (advantage < 0 && chosen < bounds.low) {
    term.clippedLow = true;
    chosen = bounds.low;
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
