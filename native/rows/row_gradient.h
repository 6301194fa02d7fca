// dLogits of a row from its log-sum-exp, log-prob, entropy and coefficients: what is formed once per row, in double.
//
//   v != target: p_v (g + h (log p_v + H))       p_v = exp(z_v / T - lse)
//   v == target: g expm1(logp) + h p (logp + H)  (p - 1 would cancel where p -> 1)
//   g = -gradScale * coefficient / T,  h = -gradScale * entropyCoefficient / T
#pragma once
#include <cfloat>
#include <cmath>

#include "../math/libm.h"
#include "segment_sum.h"

namespace turnwise {

/// What multiplies d log p / dz and dH / dz of a row: g and h.
struct RowFactors {
  double logProb, entropy;
  TURNWISE_HD bool zero() const { return logProb == 0 && entropy == 0; }
};

TURNWISE_HD inline double rowFactor(double coefficient, double gradScale, double temperature) {
  return coefficient == 0 ? 0.0 : -(coefficient * gradScale) / temperature;
}

/// Whether the row has a gradient at all; if not, it is NaN.
TURNWISE_HD inline bool finiteGradient(const RowFactors& factors, float logProb, double logSumExp, float entropy) {
  const auto fits = [](double value) { return std::isfinite(static_cast<float>(value)); };
  if (!std::isfinite(logSumExp) || std::isnan(logProb) || !fits(factors.logProb)) return false;
  return factors.entropy == 0 || (fits(factors.entropy) && fits(factors.logProb + factors.entropy * entropy));
}

TURNWISE_HD inline double gradientAtTarget(const RowFactors& factors, double logProb, float entropy) {
  const double value = factors.logProb * std::expm1(logProb);
  if (factors.entropy == 0 || std::isinf(logProb)) return value;  // p = 0: not 0 * inf
  return value + factors.entropy * turnwise::exp(logProb) * (logProb + entropy);
}

/// p = exp(z / T - lse) as a power of two: k z - exponent, or, where k z is too large to subtract from,
/// k (z - near) - rest.
///
/// `near` is the float nearest to the logit of probability 1. Where a logit equals it, all of log p is in `rest`, which
/// is formed in double. With k for log2(e) / T, k (z - near) errs by k's rounding times z - near, which softmax damps;
/// k z would err by k's rounding times z.
struct SoftmaxExponent {
  float near;
  double rest, exponent;
};

TURNWISE_HD inline double withinFloats(double x) {
  return x < -static_cast<double>(FLT_MAX)  ? -static_cast<double>(FLT_MAX)
         : static_cast<double>(FLT_MAX) < x ? static_cast<double>(FLT_MAX)
                                            : x;
}

TURNWISE_HD inline SoftmaxExponent softmaxExponent(double temperature, double k, double logSumExp) {
  const float near = static_cast<float>(withinFloats(logSumExp * temperature));
  const double rest = (logSumExp - near / temperature) * kLog2E;
  return {near, rest, near * k + rest};
}

/// constant + unit * (linear x + quadratic x^2), x = z - near: what p is multiplied with where entropy has a
/// coefficient.
///
/// g + h (z / T - lse + H) is a + h x / T, a = g + h (H - rest). No float, so no logit, is closer to T * lse than
/// `near`: |rest| <= |log p| and |x| / T <= 2 |log p|. So the sum in f32 cancels no more than the formula itself does.
/// Times 1 + drift x, which makes up for the rounding of the exponential's k to f32, it is
/// a + (h / T + drift a) x + drift h / T x^2.
struct EntropyPolynomial {
  double unit;  // makes the polynomial at least 1 where nothing cancels: a product with a normal float stays normal
  double constant;
  float linear, quadratic;
};

TURNWISE_HD inline EntropyPolynomial entropyPolynomial(double temperature, double k, double logSumExp, double entropy,
                                                       const RowFactors& factors) {
  const float near = softmaxExponent(temperature, k, logSumExp).near;
  const double rest = logSumExp - near / temperature;
  const double drift = (kLog2E / temperature - k) * kLn2;
  EntropyPolynomial polynomial;
  polynomial.constant = factors.logProb + factors.entropy * (entropy - rest);
  const double size = std::fabs(polynomial.constant), slopeSize = std::fabs(factors.entropy);
  int binade;
  std::frexp(size < slopeSize ? slopeSize : size, &binade);
  polynomial.unit = std::ldexp(1.0, binade - 1);
  const double slope = factors.entropy / polynomial.unit / temperature;
  polynomial.linear = static_cast<float>(slope + drift * (polynomial.constant / polynomial.unit));
  // Beyond f32's range only where logits that differ at all differ by more than any probability shows.
  polynomial.quadratic = static_cast<float>(withinFloats(drift * slope));
  return polynomial;
}

}  // namespace turnwise
