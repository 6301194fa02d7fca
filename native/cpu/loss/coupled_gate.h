// Gate log-sum-exp, REAL (arXiv 2602.05630): the trajectories of a prompt, told apart by the sign of their advantage.
//   L = log(1 + sum over negative ones of exp(x / T)) + log(1 + sum over positive ones of exp(-x / T))
// x = a trajectory's log-ratio. A prompt without both classes has nothing to compare: 0.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace turnwise::cpu {

/// A trajectory with a loss token and an advantage that is not 0.
struct CoupledTrajectory {
  size_t unit;
  int32_t prompt;
  bool positive;
  double logRatio;
  double value;       // L of the prompt at its first trajectory, else 0
  double derivative;  // dL / d logRatio
};

/// Fills value and derivative, and sorts by prompt. The same bits for any order of the trajectories.
void coupleTrajectories(std::vector<CoupledTrajectory>& trajectories, double temperature);

}  // namespace turnwise::cpu
