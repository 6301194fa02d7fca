// Sorted copies of one group; nothing here depends on the order of its members.
#include "group_statistics.h"

#include <algorithm>
#include <numeric>

#include "../../math/normal_quantile.h"
#include "../../math/normalize.h"

namespace turnwise::cpu {

void rankGauss(std::vector<double>& values) {
  const size_t n = values.size();
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return values[a] < values[b]; });
  std::vector<double> quantiles(n);
  for (size_t first = 0, end = 0; first < n; first = end) {
    while (end < n && values[order[end]] == values[order[first]]) ++end;
    const double quantile = rankQuantile(first, end, n);
    for (size_t i = first; i < end; ++i) quantiles[order[i]] = quantile;
  }
  values.swap(quantiles);
}

double medianOf(const double* values, size_t n) {
  std::vector<double> sorted(values, values + n);
  const auto middle = sorted.begin() + n / 2;
  std::nth_element(sorted.begin(), middle, sorted.end());
  return turnwise::medianOf(
      n, [&](size_t rank) { return rank == n / 2 ? *middle : *std::max_element(sorted.begin(), middle); });
}

}  // namespace turnwise::cpu
