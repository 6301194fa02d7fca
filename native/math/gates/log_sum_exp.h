// The loss that couples the trajectories of one prompt: one class of them.
#pragma once
#include <cmath>

#include "../libm.h"
#include "../reproducible_sum.h"

namespace turnwise {

/// L = log(1 + sum_i exp(a_i)) and its derivatives exp(a_i) / (1 + sum), without overflow: everything is relative to
/// m = max(0, max a). The same bits for any order of the a. Formed by all members of a crew.
struct SoftplusOfMany {
  double largest;  // m
  double rest;     // exp(-m): the 1
  double sum;      // of exp(a_i - m)

  template <class Crew, class Value>
  TURNWISE_HD SoftplusOfMany(const Crew& crew, size_t n, const Value& value) : largest(0) {
    for (size_t i = crew.rank(); i < n; i += crew.size()) {
      const double a = value(i);
      if (!(a <= largest)) largest = a;  // true for NaN
      if (largest != largest) break;
    }
    largest = crew.largest(largest);
    rest = exp(-largest);
    sum = reproducibleSum(crew, n, [&](size_t i) { return relative(value(i)); });
  }

  /// Where m > 0 one of the terms is exactly 1 and L at least log 2: taking it off loses nothing that counts.
  TURNWISE_HD double result() const { return largest > 0 ? largest + ::log1p(sum - 1.0 + rest) : ::log1p(sum); }
  TURNWISE_HD double derivative(double a) const { return relative(a) / (rest + sum); }

 private:
  /// An infinite a equals m; their difference would be NaN.
  TURNWISE_HD double relative(double a) const { return a == largest ? 1.0 : exp(a - largest); }
};

}  // namespace turnwise
