// Mean and variance of values that count more than once: of tokens whose value is that of their turn or trajectory.
// Used by whitening, by the length-weighted center and by the cap of a channel.
#pragma once
#include <cmath>

#include "../ops.h"
#include "normalize.h"
#include "reproducible_sum.h"

namespace turnwise {

struct WeightedMoments {
  double weight;    // W = sum w
  double mean;      // sum w x / W; 0 where W = 0
  double variance;  // sum w (x - mean)^2 / (W - ddof); 0 where W <= ddof
  bool allEqual;    // the values of weight > 0
};

/// term(i) summed over the i < n with a positive weight, of which there are `count`; the same bits for any order.
template <class Weight, class Term>
TURNWISE_HD double sumOfWeighted(size_t n, size_t count, const Weight& weight, const Term& term) {
  double largest = 0;
  for (size_t i = 0; i < n; ++i) {
    const double size = weight(i) > 0 ? std::fabs(term(i)) : 0.0;
    if (!(size <= largest)) largest = size;  // true for NaN
    if (largest - largest != 0) break;
  }
  ReproducibleSum sum(count, largest);
  for (size_t i = 0; i < n; ++i) {
    if (weight(i) > 0) sum.add(term(i));
  }
  return sum.result();
}

/// Of value(0..n-1) with integer weights weight(0..n-1); those without a positive weight are not read. The same bits
/// for any order, though not those of the values written out one by one.
template <class Value, class Weight>
TURNWISE_HD WeightedMoments weightedMoments(size_t n, int ddof, const Value& value, const Weight& weight) {
  WeightedMoments moments{0.0, 0.0, 0.0, true};
  size_t count = 0;
  for (size_t i = 0; i < n; ++i) {
    const double w = weight(i);  // sums of counts are exact
    if (!(w > 0)) continue;
    const double x = value(i);
    if (count == 0) moments.mean = x;
    moments.allEqual = moments.allEqual && x == moments.mean;
    moments.weight += w;
    ++count;
  }
  if (moments.allEqual) return moments;
  const double mean = sumOfWeighted(n, count, weight, [&](size_t i) { return weight(i) * value(i); }) / moments.weight;
  moments.mean = mean;
  if (!(moments.weight > ddof)) return moments;
  const double squares = sumOfWeighted(n, count, weight, [&](size_t i) {
    const double deviation = value(i) - mean;
    return weight(i) * (deviation * deviation);
  });
  moments.variance = squares / (moments.weight - ddof);
  return moments;
}

/// Batch whitening (REINFORCE++, arXiv 2501.03262: over loss tokens, ddof 1, floor 1e-8) or centring (EMPG, arXiv
/// 2509.09265) of one finished advantage. Exactly 0 where there is nothing to tell the advantages apart; one that
/// overflowed stays to be seen.
TURNWISE_HD inline double whitened(double advantage, const WeightedMoments& moments, const Whiten& whiten) {
  if (advantage - advantage != 0) return advantage;
  if (moments.allEqual || moments.weight <= whiten.ddof) return 0.0;
  const double centered = advantage - moments.mean;
  if (whiten.kind == WhitenKind::center) return centered;
  return scaled(centered, std::sqrt(moments.variance + whiten.varianceFloor) + whiten.eps);
}

}  // namespace turnwise
