// Sums over the later turns of a trajectory: the discounted return, before or after the statistics, and of a joined
// sequence.
#pragma once
#include <cmath>

#include "../ops.h"

namespace turnwise {

/// D_k = x_k + gamma D_{k+1} for k = last - 1 down to first, starting from D_last = `bootstrap`; `put(k, D_k)` in that
/// order. A turn without a signal (x_k NaN) adds nothing and hands on what later turns gathered.
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

/// E_k = sum_{j >= k} gamma^(j-k) z_j / sqrt(n_k), n_k = number of turns j >= k with a signal (0 where there is none):
/// the variance-controlled form of A2TGPO turn-group-v1d (arXiv 2605.06200), whose spread does not grow with the turns
/// to come.
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

}  // namespace turnwise
