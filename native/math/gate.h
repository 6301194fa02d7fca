// The gate of one token: the one switch over what a ratio may do to an advantage.
#pragma once
#include "gates/detached.h"
#include "gates/gamma.h"
#include "gates/grad_preserving.h"
#include "gates/l1_target.h"
#include "gates/mask.h"
#include "gates/ppo.h"
#include "gates/quadratic.h"
#include "gates/sigmoid.h"

namespace turnwise {

/// log-sum-exp couples the trajectories of a prompt (gates/log_sum_exp.h); here it is nothing.
TURNWISE_HD inline GateTerm gateTerm(const Gate& gate, const GateInput& in) {
  switch (gate.kind) {
    case GateKind::ppo:
      return ppoTerm(gate, in.advantage, in.ratio, in.clipScale);
    case GateKind::detached:
      return detachedTerm(gate, in);
    case GateKind::gamma:
      return gammaTerm(gate, in);
    case GateKind::gradPreserving:
      return gradPreservingTerm(gate, in);
    case GateKind::sigmoid:
      return sigmoidTerm(gate, in);
    case GateKind::quadratic:
      return quadraticTerm(gate, in);
    case GateKind::l1Target:
      return l1TargetTerm(gate, in);
    case GateKind::mask:
      return maskTerm(gate, in);
    case GateKind::logSumExp:
      break;
  }
  return {};
}

}  // namespace turnwise
