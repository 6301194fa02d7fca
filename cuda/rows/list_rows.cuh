// What is known of rows before a row kernel runs, by one team: targets checked, rows outside the mask answered, and the
// rest listed, so that clusters share the rows with work evenly, wherever the mask has them.
#pragma once
#include "../device/team.cuh"
#include "gradient.cuh"

namespace turnwise::cuda {

/// check(n) for all rows; then those of which isActive(n) in order, and behind them, backwards, the others. After an
/// error, an earlier kernel's or one that check reports, the list is empty: so kernels of several clusters, whose
/// blocks must all do the same, need not look at the error word.
template <class Check, class IsActive>
__device__ void listRows(const RowParameters& p, size_t count, const Check& check, const IsActive& isActive) {
  const Team team;
  const bool go = !failed(p.error);
  team.sync();  // nobody reports before all have asked
  uint64_t active = 0;
  if (go) {
    team.forEach(count, check);
    active = team.scan(
        count, [&](size_t n) { return isActive(n) ? 1 : 0; },
        [&](size_t n, uint64_t before) {
          const size_t place = isActive(n) ? before : count - 1 - (n - before);
          // The bound is for a mask that somebody changed meanwhile.
          p.list.rows[place < count ? place : count - 1] = static_cast<uint32_t>(n);
        });
  }
  if (team.rank() != 0) return;
  const bool good = !failed(p.error);
  p.list.counts[0] = good ? static_cast<uint32_t>(active) : 0;
  p.list.counts[1] = good ? static_cast<uint32_t>(count) : 0;
  if (p.underflow) *p.underflow = {0, 0};
}

__device__ inline bool inMask(const View<const uint8_t>& mask, size_t n) {
  return !mask || mask[n] == 1;
}

/// Whether the target can be used as an index; if not, that is the step's error.
__device__ inline bool checkTarget(const RowParameters& p, const View<const int32_t>& targets, size_t width, size_t n) {
  const bool good = targets[n] >= 0 && static_cast<size_t>(targets[n]) < width;
  if (!good) report(p.error, StatusCode::targetOutOfRange, static_cast<int64_t>(n));
  return good;
}

}  // namespace turnwise::cuda
