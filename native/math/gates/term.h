// What every gate takes and gives: f(rho, A, ...) of one token, to be minimised.
#pragma once
#include "../../ops.h"
#include "../ratio.h"

namespace turnwise {

struct GateInput {
  double advantage;
  double clipScale;
  double ratioTarget;  // l1-target only
  double logProb;
  double oldLogProb;
  ImportanceRatio ratio;
};

struct GateTerm {
  double value = 0;
  double derivative = 0;  // of value, d / d log-ratio: reaches every log-prob the ratio depends on
  double direct = 0;      // of value, d / d the token's own log-prob, beside the ratio's
  bool clippedLow = false;
  bool clippedHigh = false;
  bool clippedDual = false;
  bool masked = false;
};

}  // namespace turnwise
