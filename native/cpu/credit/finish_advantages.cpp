// Statistics over the batch by order-independent sums; excluded trajectories are in none and stay 0.
#include "finish_advantages.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "../../math/absent.h"
#include "../../math/channel_factors.h"
#include "../../math/weighted_moments.h"

namespace turnwise::cpu {

namespace {

/// Entropies of the turns in the batch; NaN = none, or not finite, or in an excluded trajectory.
std::vector<double> knownEntropies(const TurnStatistics& args, const Layout& layout) {
  std::vector<double> entropies(args.turnEntropies.data, args.turnEntropies.data + args.turnEntropies.size);
  layout.forEachRun(Level::turn, [&](const Run& run) {
    for (size_t k = run.first; k < run.end; ++k) {
      if (!isKnownEntropy(entropies[k]) || layout.excluded(run.trajectory)) entropies[k] = kAbsent;
    }
  });
  return entropies;
}

/// g and f of every turn (native/ops.h); 1 and 0 where it has no entropy.
struct TurnFactors {
  std::vector<double> scale, future;
};

TurnFactors turnFactors(const Modulation& modulation, const std::vector<double>& entropies) {
  double smallest = kInfinity, largest = -kInfinity;
  for (const double entropy : entropies) {
    if (isAbsent(entropy)) continue;
    smallest = std::min(smallest, entropy);
    largest = std::max(largest, entropy);
  }
  TurnFactors factors{std::vector<double>(entropies.size(), 1.0), std::vector<double>(entropies.size(), 0.0)};
  std::vector<double> decays;
  for (size_t k = 0; k < entropies.size(); ++k) {
    if (isAbsent(entropies[k])) continue;
    factors.scale[k] = confidence(entropies[k], smallest, largest, modulation.decay);
    factors.future[k] = confidence(entropies[k], smallest, largest, modulation.bonusDecay);
    decays.push_back(factors.scale[k]);
  }
  const double sum = reproducibleSum(decays.size(), [&](size_t i) { return decays[i]; });
  const double mean = sum / static_cast<double>(decays.size());
  for (size_t k = 0; k < entropies.size(); ++k) {
    if (!isAbsent(entropies[k])) factors.scale[k] /= mean;
  }
  return factors;
}

/// How much each advantage counts; 0 in excluded trajectories.
std::vector<double> whitenWeights(const TurnStatistics& args, const Layout& layout) {
  std::vector<double> weights = layout.lossTokens(args.resultLevel);
  layout.forEachRun(args.resultLevel, [&](const Run& run) {
    if (layout.excluded(run.trajectory)) return;
    for (size_t e = run.first; e < run.end; ++e) {
      weights[e] = whitenWeight(args.whiten.over, weights[e], e == run.first);
    }
  });
  return weights;
}

}  // namespace

void modulateAdvantages(const TurnStatistics& args, const Layout& layout, double* advantages) {
  if (args.modulation.kind == Modulate::none) return;
  const TurnFactors factors = turnFactors(args.modulation, knownEntropies(args, layout));
  layout.forEachRun(Level::turn, [&](const Run& run) {
    if (layout.excluded(run.trajectory)) return;
    for (size_t k = run.first; k < run.end; ++k) {
      const double bonus = k + 1 < run.end ? args.modulation.bonus * factors.future[k + 1] : 0.0;
      const size_t end = layout.firstOfTurn(args.resultLevel, k + 1);
      for (size_t e = layout.firstOfTurn(args.resultLevel, k); e < end; ++e) {
        advantages[e] = modulated(advantages[e], factors.scale[k], bonus);
      }
    }
  });
}

void whitenAdvantages(const TurnStatistics& args, const Layout& layout, double* advantages) {
  if (args.whiten.kind == WhitenKind::none) return;
  const std::vector<double> weights = whitenWeights(args, layout);
  const WeightedMoments moments = weightedMoments(
      weights.size(), args.whiten.ddof, [&](size_t e) { return advantages[e]; }, [&](size_t e) { return weights[e]; });
  if (moments.weight == 0) return;
  layout.forEachRun(args.resultLevel, [&](const Run& run) {
    if (layout.excluded(run.trajectory)) return;
    for (size_t e = run.first; e < run.end; ++e) advantages[e] = whitened(advantages[e], moments, args.whiten);
  });
}

}  // namespace turnwise::cpu
