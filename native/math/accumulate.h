// Sums over the later entries (turns or tokens) of a trajectory: the discounted return, before or after the statistics
// and of a joined sequence, and generalised advantage estimation.
#pragma once
#include <cmath>

#include "../ops.h"
#include "absent.h"

namespace turnwise {

/// D_k = x_k + gamma D_{k+1} for k = last - 1 down to first, starting from D_last = `bootstrap`; `put(k, D_k)` in that
/// order. An entry without a signal (x_k NaN) adds nothing and hands on what later ones gathered.
template <class Value, class Put>
TURNWISE_HD void discounted(size_t first, size_t last, double gamma, double bootstrap, const Value& value,
                            const Put& put) {
  double sum = bootstrap;
  for (size_t k = last; k-- > first;) {
    const double x = value(k);
    sum = (x == x ? x : 0.0) + gamma * sum;
    put(k, sum);
  }
}

/// E_k = sum_{j >= k} gamma^(j-k) z_j / sqrt(n_k), n_k = number of entries j >= k with a signal (0 where there is
/// none): the variance-controlled form of A2TGPO turn-group-v1d (arXiv 2605.06200), whose spread does not grow with the
/// turns to come.
template <class Value, class Put>
TURNWISE_HD void discountedBySqrtTerms(size_t first, size_t last, double gamma, const Value& value, const Put& put) {
  double terms = 0;
  discounted(
      first, last, gamma, 0.0,
      [&](size_t k) {
        const double z = value(k);
        if (z == z) ++terms;
        return z;
      },
      [&](size_t k, double sum) { put(k, terms > 0 ? sum / std::sqrt(terms) : 0.0); });
}

/// Generalised advantage estimation (arXiv 1506.02438), for k = last - 1 down to first:
///   delta_k = x_k + gamma V_{k+1} - V_k,   A_k = delta_k + gamma lambda A_{k+1},   V_last = `beyond`, A_last = 0
/// An entry without a signal has x_k = 0.
template <class Value, class Baseline, class Put>
TURNWISE_HD void gae(size_t first, size_t last, double gamma, double lambda, double beyond, const Value& value,
                     const Baseline& baseline, const Put& put) {
  double next = beyond, advantage = 0.0;
  for (size_t k = last; k-- > first;) {
    const double x = value(k), v = baseline(k);
    advantage = ((x == x ? x : 0.0) + gamma * next - v) + gamma * lambda * advantage;
    next = v;
    put(k, advantage);
  }
}

// The stages of a channel on values[first..last): a trajectory's entries, or those of one turn where observations reset
// the recursion.

/// Before the statistics: absent turns add 0 and stay absent, absent loss tokens become present (rewards are sparse
/// there).
TURNWISE_HD inline void discountSignal(const Channel& channel, size_t first, size_t last, double beyond,
                                       double* values) {
  const bool fills = channel.level == Level::token;
  discounted(
      first, last, channel.gamma, beyond, [&](size_t e) { return values[e]; },
      [&](size_t e, double sum) {
        if (fills || !isAbsent(values[e])) values[e] = present(sum);
      });
}

/// V after the last entry of trajectory m: 0 where it ended, V of the last state where it was cut off (EGAE, arXiv
/// 2506.15050), or as given.
TURNWISE_HD inline double valueBeyond(const TurnStatistics& args, const Channel& channel, size_t m, double lastValue) {
  if (channel.bootstrap == Bootstrap::carry) return args.truncated[m] == 1 ? lastValue : 0.0;
  return channel.bootstrap == Bootstrap::given ? valueOrZero(args.bootstrapValues[m]) : 0.0;
}

/// gae instead of the signal: every entry becomes present.
template <class Baseline>
TURNWISE_HD void estimateAdvantages(const Channel& channel, size_t first, size_t last, double beyond,
                                    const Baseline& baseline, double* values) {
  gae(
      first, last, channel.gamma, channel.lambda, beyond, [&](size_t e) { return values[e]; }, baseline,
      [&](size_t e, double advantage) { values[e] = present(advantage); });
}

/// After the statistics: absent entries receive what follows.
TURNWISE_HD inline void sumLater(const Channel& channel, size_t first, size_t last, double* z) {
  const auto value = [&](size_t e) { return z[e]; };
  const auto put = [&](size_t e, double sum) { z[e] = present(sum); };
  if (channel.thenDivide == Divide::sqrtTerms) {
    discountedBySqrtTerms(first, last, channel.thenGamma, value, put);
  } else {
    discounted(first, last, channel.thenGamma, 0.0, value, put);
  }
}

/// Of a joined sequence: one that overflowed counts as infinite.
TURNWISE_HD inline void sumJoined(size_t first, size_t last, double gamma, double* advantages) {
  discounted(
      first, last, gamma, 0.0, [&](size_t k) { return present(advantages[k]); },
      [&](size_t k, double sum) { advantages[k] = sum; });
}

}  // namespace turnwise
