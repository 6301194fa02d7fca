#include "loss_terms.h"

#include <algorithm>

namespace turnwise::cpu {

bool LossTerms::evaluateAll(const Context& context) {
  if (couplesUnits(batch_.args)) return evaluateCoupled(context);
  for (size_t u = 0; u < unitCount(); ++u) {
    if (context.aborted()) return false;
    evaluate(unit(u));
  }
  return true;
}

/// First the log-ratios of all trajectories, then their prompts, then the tokens.
bool LossTerms::evaluateCoupled(const Context& context) {
  std::vector<CoupledTrajectory> trajectories(unitCount());
  std::vector<size_t> compared;
  for (size_t u = 0; u < unitCount(); ++u) {
    if (context.aborted()) return false;
    trajectories[u] = coupledTrajectory(Solo(), batch_, unit(u));
    if (trajectories[u].compared) compared.push_back(u);
  }
  std::sort(compared.begin(), compared.end(), [&](size_t a, size_t b) {
    const uint64_t keyA = classKey(trajectories[a]), keyB = classKey(trajectories[b]);
    return keyA != keyB ? keyA < keyB : a < b;
  });
  for (size_t first = 0, last = 0; first < compared.size(); first = last) {
    const auto at = [&](size_t i) -> CoupledTrajectory& { return trajectories[compared[first + i]]; };
    while (last < compared.size() && trajectories[compared[last]].prompt == at(0).prompt) ++last;
    couplePrompt(Solo(), last - first, at, batch_.args.gate.temperature);
  }
  for (size_t u = 0; u < unitCount(); ++u) {
    if (context.aborted()) return false;
    spreadCoupled(Solo(), batch_, unit(u), trajectories[u]);
  }
  return true;
}

}  // namespace turnwise::cpu
