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
template <class Crew, class Weight, class Term>
TURNWISE_HD double sumOfWeighted(const Crew& crew, size_t n, size_t count, const Weight& weight, const Term& term) {
  double largest = 0;
  for (size_t i = crew.rank(); i < n; i += crew.size()) {
    const double size = weight(i) > 0 ? std::fabs(term(i)) : 0.0;
    if (!(size <= largest)) largest = size;  // true for NaN
    if (largest - largest != 0) break;
  }
  ReproducibleSum sum(count, crew.largest(largest));
  for (size_t i = crew.rank(); i < n; i += crew.size()) {
    if (weight(i) > 0) sum.add(term(i));
  }
  return crew.together(sum).result();
}

/// Of value(0..n-1) with integer weights weight(0..n-1); those without a positive weight are not read. The same bits
/// for any order, though not those of the values written out one by one.
template <class Crew, class Value, class Weight>
TURNWISE_HD WeightedMoments weightedMoments(const Crew& crew, size_t n, int ddof, const Value& value,
                                            const Weight& weight) {
  WeightedMoments moments{0.0, 0.0, 0.0, true};
  size_t first = crew.rank();
  while (first < n && !(weight(first) > 0)) first += crew.size();
  const double firstOfAll = crew.smallest(first < n ? static_cast<double>(first) : HUGE_VAL);
  if (!(firstOfAll < HUGE_VAL)) return moments;
  moments.mean = value(static_cast<size_t>(firstOfAll));

  bool allEqual = true;
  uint64_t total = 0, terms = 0;
  for (size_t i = first; i < n; i += crew.size()) {
    const double w = weight(i);
    if (!(w > 0)) continue;
    allEqual = allEqual && value(i) == moments.mean;
    total += static_cast<int64_t>(w);  // a count
    ++terms;
  }
  moments.allEqual = crew.all(allEqual);
  moments.weight = static_cast<double>(crew.sum(total));
  if (moments.allEqual) return moments;
  const size_t count = crew.sum(terms);
  const double mean =
      sumOfWeighted(crew, n, count, weight, [&](size_t i) { return weight(i) * value(i); }) / moments.weight;
  moments.mean = mean;
  if (!(moments.weight > ddof)) return moments;
  const double squares = sumOfWeighted(crew, n, count, weight, [&](size_t i) {
    const double deviation = value(i) - mean;
    return weight(i) * (deviation * deviation);
  });
  moments.variance = squares / (moments.weight - ddof);
  return moments;
}
template <class Value, class Weight>
TURNWISE_HD WeightedMoments weightedMoments(size_t n, int ddof, const Value& value, const Weight& weight) {
  return weightedMoments(Solo(), n, ddof, value, weight);
}

/// The center of the length-weighted normalisation, OPO (arXiv 2505.23585); the plain mean where nothing has weight.
template <class Crew, class Value, class Weight>
TURNWISE_HD double lengthWeightedMean(const Crew& crew, const GroupMoments& members, const Value& value,
                                      const Weight& weight) {
  const WeightedMoments weighted = weightedMoments(crew, members.count, 0, value, weight);
  return weighted.weight > 0 ? weighted.mean : members.mean;
}

/// Sample standard deviation over the loss tokens of the batch; a turn's value counts once per token.
template <class Crew, class Value, class Weight>
TURNWISE_HD double tokenDeviation(const Crew& crew, size_t n, const Value& value, const Weight& lossTokens) {
  const auto there = [&](size_t i) { return valueOrZero(value(i)); };
  return std::sqrt(weightedMoments(crew, n, 1, there, lossTokens).variance);
}

/// How much a result entry counts in whitening: its loss tokens, 1, or 1 for the first one of a trajectory.
TURNWISE_HD inline double whitenWeight(Level over, double lossTokens, bool isFirst) {
  if (over == Level::token) return lossTokens;
  return over == Level::turn || isFirst ? 1.0 : 0.0;
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
