// Sorted copies of one group; nothing here depends on the order of its members.
#include "group_statistics.h"

#include <algorithm>
#include <numeric>

#include "../../math/normal_quantile.h"

namespace turnwise::cpu {

void rankGauss(std::vector<double>& values) {
  const size_t n = values.size();
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return values[a] < values[b]; });
  std::vector<double> quantiles(n);
  for (size_t first = 0, end = 0; first < n; first = end) {
    while (end < n && values[order[end]] == values[order[first]]) ++end;
    // The ranks first + 1 ... end have the average (first + 1 + end) / 2.
    const double rank = static_cast<double>(first + 1 + end) / 2;
    const double quantile = normalQuantile((rank - 0.5) / static_cast<double>(n));
    for (size_t i = first; i < end; ++i) quantiles[order[i]] = quantile;
  }
  values.swap(quantiles);
}

double medianOf(const double* values, size_t n) {
  std::vector<double> sorted(values, values + n);
  const auto middle = sorted.begin() + n / 2;
  std::nth_element(sorted.begin(), middle, sorted.end());
  if (n % 2 == 1) return *middle;
  // Halved before they are added: the sum of two finite values may not be finite.
  return 0.5 * *std::max_element(sorted.begin(), middle) + 0.5 * *middle;
}

}  // namespace turnwise::cpu
