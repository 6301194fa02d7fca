// How wide a turn's clipping range is, from its normalised signal.
#pragma once
#include "../types.h"
#include "libm.h"

namespace turnwise {

/// 1 / (1 + exp(-x)), for negative x as exp(x) / (1 + exp(x)): the exponent is never positive, so nothing overflows.
/// Only the numerator is chosen by the sign of x: signs of normalised signals are a coin toss, and so would a branch
/// be.
TURNWISE_HD inline double sigmoid(double x) {
  const double decay = exp(x < 0 ? x : -x);
  return (x < 0 ? decay : 1.0) / (1.0 + decay);
}

/// c = 1 + beta (2 sigmoid(z) - 1), in (1 - beta, 1 + beta): a turn that gained more may move further.
/// A2TGPO turn-group-v1d (arXiv 2605.06200), beta 0.3. A turn without a signal (z NaN) and beta = 0 give exactly 1.
TURNWISE_HD inline double clipScale(double z, double beta) {
  if (beta == 0 || z != z) return 1.0;
  return 1.0 + beta * (2.0 * sigmoid(z) - 1.0);
}

}  // namespace turnwise
