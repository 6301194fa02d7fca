// Quantile of the standard normal distribution.
#pragma once
#include <cmath>

#include "../types.h"
#include "libm.h"

namespace turnwise {

/// P(x) / Q(x) of two polynomials of degree 7, constants first, by Horner's scheme.
TURNWISE_HD inline double rationalOfDegree7(const double (&p)[8], const double (&q)[8], double x) {
  double above = p[7], below = q[7];
  for (int i = 7; i-- > 0;) {
    above = above * x + p[i];
    below = below * x + q[i];
  }
  return above / below;
}

/// x with Phi(x) = p, 0 < p < 1, to about 1e-16 of its size; exactly 0 for p = 1/2, NaN outside. Wichura, algorithm
/// AS 241 (PPND16), Applied Statistics 37 (1988).
TURNWISE_HD inline double normalQuantile(double p) {
  constexpr double kCentral[2][8] = {
      {3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125, 45921.953931549871457,
       67265.770927008700853, 33430.575583588128105, 2509.0809287301226727},
      {1.0, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867,
       39307.89580009271061, 28729.085735721942674, 5226.495278852854561}};
  constexpr double kTail[2][8] = {
      {1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
       1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4},
      {1.0, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455, 0.14810397642748007459,
       0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9}};
  constexpr double kFarTail[2][8] = {
      {6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
       0.026532189526576123093, 1.2426609473880784386e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7},
      {1.0, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525, 7.868691311456132591e-4,
       1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15}};
  if (!(p > 0 && p < 1)) return NAN;
  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) return q * rationalOfDegree7(kCentral[0], kCentral[1], 0.180625 - q * q);
  const double r = std::sqrt(-log(q < 0 ? p : 1.0 - p));
  const double size =
      r <= 5 ? rationalOfDegree7(kTail[0], kTail[1], r - 1.6) : rationalOfDegree7(kFarTail[0], kFarTail[1], r - 5.0);
  return q < 0 ? -size : size;
}

/// Of values that share the ranks first + 1 ... end of n: the quantile of (their average rank - 1/2) / n, so a constant
/// group becomes exactly 0. G2RPO (arXiv 2604.08539; plotting position and ties are this project's choice).
TURNWISE_HD inline double rankQuantile(size_t first, size_t end, size_t n) {
  const double rank = static_cast<double>(first + 1 + end) / 2;
  return normalQuantile((rank - 0.5) / static_cast<double>(n));
}

}  // namespace turnwise
