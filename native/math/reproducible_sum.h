// A sum whose bits do not depend on the order of its terms, nor on how they are spread over lanes, threads or parts.
//
// Pre-rounding, three folds (Demmel & Nguyen, "Fast reproducible floating-point summation", ARITH 2013). A fold rounds
// every term to a grid so coarse that all partial sums are exact, and hands the remainder on. For n terms, |x| <= m <
// 2^E and bits = ceil(log2 n) + 1, the anchor 1.5 * 2^e, e = E + bits, has |x| <= 2^(e-1) and therefore:
//   - x + anchor stays in the binade [2^e, 2^(e+1)]: q = (x + anchor) - anchor is x rounded to the grid u = 2^(e-52);
//   - |q| <= 2^E, so n of them stay below 2^51 u: every partial sum of q is exact, in any order;
//   - the remainder x - q is exact and at most u / 2 = 2^(e-53): the next fold has E' = e - 53.
// What three folds leave out is below n * m * 2^(3 bits - 158). Where a grid would be finer than the smallest double
// the anchor underflows; q = x and sums of such remainders are exact as they are.
#pragma once
#include <cstdint>
#include <cstring>

#include "crew.h"

namespace turnwise {

/// E with |x| < 2^E, x finite: the smallest such, but -1022 for subnormal numbers, whose sums are exact with any
/// anchor.
TURNWISE_HD inline int exponentAbove(double x) {
  uint64_t word;
  std::memcpy(&word, &x, sizeof word);
  return static_cast<int>((word >> 52) & 0x7ff) - 1022;
}

/// factor * 2^exponent for factor in [1, 2) with few bits; 0 below the normal range, where the sum needs no anchor.
TURNWISE_HD inline double scaledPower(double factor, int exponent) {
  if (exponent < -1022) return 0.0;
  const uint64_t word = static_cast<uint64_t>(exponent + 1023) << 52;
  double power;
  std::memcpy(&power, &word, sizeof power);
  return factor * power;
}

/// The three exact partial sums.
class ReproducibleSum {
 public:
  /// At most `n` terms, none larger than `largest` in magnitude.
  TURNWISE_HD ReproducibleSum(size_t n, double largest) {
    finite_ = largest - largest == 0;
    if (!finite_ || largest == 0 || n == 0) return;
    int bits = 1;
    while ((static_cast<uint64_t>(1) << (bits - 1)) < n) ++bits;
    int exponent = exponentAbove(largest) + bits;
    if (exponent > kLargestAnchor) {
      // Anchor and partial sums would overflow although the terms do not.
      shift_ = exponent - kLargestAnchor;
      exponent = kLargestAnchor;
    }
    scale_ = scaledPower(1.0, -shift_);
    anchor1_ = scaledPower(1.5, exponent);
    exponent += bits - 53;
    anchor2_ = scaledPower(1.5, exponent);
    exponent += bits - 53;
    anchor3_ = scaledPower(1.5, exponent);
  }

  TURNWISE_HD void add(double x) {
    if (!finite_) {
      // Finite terms beside an infinite one do not count; adding them could overflow in one order and not in another.
      if (x - x != 0) sum1_ += x;
      return;
    }
    x *= scale_;
    const double q1 = (x + anchor1_) - anchor1_;
    sum1_ += q1;
    x -= q1;
    const double q2 = (x + anchor2_) - anchor2_;
    sum2_ += q2;
    x -= q2;
    sum3_ += (x + anchor3_) - anchor3_;
  }

  /// What the terms so far come to. Parts of sums with the same n and largest add up exactly, in any order.
  struct Parts {
    double first, second, third;
    TURNWISE_HD friend Parts operator+(const Parts& a, const Parts& b) {
      return {a.first + b.first, a.second + b.second, a.third + b.third};
    }
  };
  TURNWISE_HD Parts parts() const { return {sum1_, sum2_, sum3_}; }
  TURNWISE_HD void setParts(const Parts& parts) {
    sum1_ = parts.first;
    sum2_ = parts.second;
    sum3_ = parts.third;
  }

  TURNWISE_HD double result() const { return ((sum1_ + sum2_) + sum3_) * scaledPower(1.0, shift_); }

 private:
  static constexpr int kLargestAnchor = 1020;

  double anchor1_ = 0, anchor2_ = 0, anchor3_ = 0;
  double sum1_ = 0, sum2_ = 0, sum3_ = 0;
  double scale_ = 1;
  int shift_ = 0;
  bool finite_ = true;
};

/// value(0) + ... + value(items - 1), order-independent; all but `n` of them are 0, and only n shows in the bits. NaN
/// or both infinities among the terms: NaN.
template <class Crew, class Value>
TURNWISE_HD double reproducibleSum(const Crew& crew, size_t items, size_t n, const Value& value) {
  double largest = 0;
  for (size_t i = crew.rank(); i < items; i += crew.size()) {
    const double x = value(i);
    const double size = x < 0 ? -x : x;
    if (!(size <= largest)) largest = size;  // true for NaN
    if (largest - largest != 0) break;
  }
  ReproducibleSum sum(n, crew.largest(largest));
  for (size_t i = crew.rank(); i < items; i += crew.size()) sum.add(value(i));
  return crew.together(sum).result();
}
template <class Crew, class Value>
TURNWISE_HD double reproducibleSum(const Crew& crew, size_t n, const Value& value) {
  return reproducibleSum(crew, n, n, value);
}
template <class Value>
TURNWISE_HD double reproducibleSum(size_t n, const Value& value) {
  return reproducibleSum(Solo(), n, value);
}

}  // namespace turnwise
