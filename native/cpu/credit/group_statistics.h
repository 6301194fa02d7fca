// What the normalisation of a group needs sorted: ranks and the middle.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace turnwise::cpu {

/// Replaces every x by the normal quantile of its rank; equal values share theirs (math/normal_quantile.h).
void rankGauss(std::vector<double>& values);

/// The middle value, or the mean of the two middle ones; n >= 1.
double medianOf(const double* values, size_t n);

}  // namespace turnwise::cpu
