#include "coupled_gate.h"

#include <algorithm>
#include <tuple>

#include "../../math/gates/log_sum_exp.h"

namespace turnwise::cpu {

namespace {

/// Trajectories [first, last) of one class of a prompt; returns the class's part of L.
double coupleClass(CoupledTrajectory* first, CoupledTrajectory* last, double temperature) {
  const double sign = first->positive ? -1.0 : 1.0;
  const auto exponent = [&](const CoupledTrajectory& b) { return sign * b.logRatio / temperature; };
  const SoftplusOfMany sum(static_cast<size_t>(last - first), [&](size_t i) { return exponent(first[i]); });
  for (CoupledTrajectory* b = first; b != last; ++b) b->derivative = sign / temperature * sum.derivative(exponent(*b));
  return sum.result();
}

}  // namespace

void coupleTrajectories(std::vector<CoupledTrajectory>& trajectories, double temperature) {
  std::sort(trajectories.begin(), trajectories.end(), [](const CoupledTrajectory& a, const CoupledTrajectory& b) {
    return std::tie(a.prompt, a.positive, a.unit) < std::tie(b.prompt, b.positive, b.unit);
  });
  CoupledTrajectory* const end = trajectories.data() + trajectories.size();
  for (CoupledTrajectory *first = trajectories.data(), *last = first; first != end; first = last) {
    last = std::find_if(first, end, [&](const CoupledTrajectory& b) { return b.prompt != first->prompt; });
    CoupledTrajectory* const middle = std::find_if(first, last, [](const CoupledTrajectory& b) { return b.positive; });
    if (middle == first || middle == last) continue;
    const double negative = coupleClass(first, middle, temperature);
    const double positive = coupleClass(middle, last, temperature);
    CoupledTrajectory& holder = first->unit < middle->unit ? *first : *middle;
    holder.value = negative + positive;
  }
}

}  // namespace turnwise::cpu
