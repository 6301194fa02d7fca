// What the normalisation of a group needs sorted: ranks and the middle.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace turnwise::cpu {

/// Replaces every x by the normal quantile of (rank - 1/2) / n; equal values share the average of their ranks, so a
/// constant group becomes exactly 0. G2RPO (arXiv 2604.08539; plotting position and ties are this project's choice).
void rankGauss(std::vector<double>& values);

/// The middle value, or the mean of the two middle ones; n >= 1.
double medianOf(const double* values, size_t n);

}  // namespace turnwise::cpu
