// The combined advantages modulated by their turns' entropies, then whitened over the batch
// (native/cpu/credit/finish_advantages.h).
#pragma once
#include "../../native/math/channel_factors.h"
#include "../../native/math/weighted_moments.h"
#include "layout.cuh"

namespace turnwise::cuda {

/// After a barrier.
TURNWISE_NOT_INLINED __device__ inline void modulateAdvantages(const Batch& batch) {
  const Team& team = batch.team;
  const TurnStatistics& args = batch.args;
  const CreditWork& work = batch.work;
  const Layout& layout = batch.layout;
  const Modulation& modulation = args.modulation;
  if (modulation.kind == Modulate::none) return;
  const View<const double>& entropies = args.turnEntropies;
  const auto isKnown = [&](size_t k) {
    return isKnownEntropy(entropies[k]) && !layout.excluded(layout.trajectoryOf(Level::turn, k));
  };
  double smallest = HUGE_VAL, largest = -HUGE_VAL;
  team.forEach(layout.turnCount(), [&](size_t k) {
    if (!isKnown(k)) return;
    smallest = entropies[k] < smallest ? entropies[k] : smallest;
    largest = entropies[k] > largest ? entropies[k] : largest;
  });
  smallest = team.smallest(smallest);
  largest = team.largest(largest);

  double *const scale = work.x, *const future = work.spare;  // g and f of native/ops.h
  uint32_t* const known = work.sorted;
  const size_t count = team.scan(layout.turnCount(), isKnown, [&](size_t k, uint64_t before) {
    scale[k] = 1.0;
    future[k] = 0.0;
    if (!isKnown(k)) return;
    known[before] = static_cast<uint32_t>(k);
    scale[k] = confidence(entropies[k], smallest, largest, modulation.decay);
    future[k] = confidence(entropies[k], smallest, largest, modulation.bonusDecay);
  });
  const double mean =
      reproducibleSum(team, count, [&](size_t i) { return scale[known[i]]; }) / static_cast<double>(count);
  team.sync();
  team.forEach(layout.size(args.resultLevel), [&](size_t e) {
    const size_t k = layout.turnOf(args.resultLevel, e), m = layout.trajectoryOf(Level::turn, k);
    if (layout.excluded(m)) return;
    const double bonus = layout.isOnLastTurn(args.resultLevel, e) ? 0.0 : modulation.bonus * future[k + 1];
    double& advantage = args.advantages[layout.position(args.resultLevel, e)];
    advantage = modulated(advantage, isKnown(k) ? scale[k] / mean : 1.0, bonus);
  });
  team.sync();
}

/// Statistics over the batch; excluded trajectories are in none and stay 0. After a barrier.
TURNWISE_NOT_INLINED __device__ inline void whitenAdvantages(const Batch& batch) {
  const TurnStatistics& args = batch.args;
  const Layout& layout = batch.layout;
  const Level level = args.resultLevel;
  if (args.whiten.kind == WhitenKind::none) return;
  const auto advantage = [&](size_t e) -> double& { return args.advantages[layout.position(level, e)]; };
  const auto weight = [&](size_t e) {
    const size_t m = layout.trajectoryOf(level, e);
    if (layout.excluded(m)) return 0.0;
    return whitenWeight(args.whiten.over, layout.lossTokens(level, e), e == layout.first(level, m));
  };
  const WeightedMoments moments = weightedMoments(batch.team, layout.size(level), args.whiten.ddof, advantage, weight);
  if (moments.weight == 0) return;
  batch.team.forEach(layout.size(level), [&](size_t e) {
    if (!layout.excluded(layout.trajectoryOf(level, e))) advantage(e) = whitened(advantage(e), moments, args.whiten);
  });
}

}  // namespace turnwise::cuda
