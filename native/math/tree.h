// The value of a node of a tree of turns from what lies below it.
#pragma once
#include "../ops.h"
#include "libm.h"
#include "reproducible_sum.h"

namespace turnwise {

/// Mean of value(0..n-1), n >= 1; the same bits for any order, and of equal values exactly that value.
template <class Value>
TURNWISE_HD double meanOf(size_t n, const Value& value) {
  bool allEqual = true;
  for (size_t i = 1; i < n; ++i) allEqual = allEqual && value(i) == value(0);
  return allEqual ? value(0) : reproducibleSum(n, value) / static_cast<double>(n);
}

/// sum w_i value(i) / sum w_i, w = softmax(entropy(0..n-1)): children where the policy was less sure count more.
/// AT2PO (arXiv 2601.04767), child_softmax. As meanOf otherwise.
template <class Value, class Entropy>
TURNWISE_HD double softmaxMean(size_t n, const Value& value, const Entropy& entropy) {
  double largest = entropy(0);
  bool allEqual = true;
  for (size_t i = 1; i < n; ++i) {
    largest = entropy(i) > largest ? entropy(i) : largest;
    allEqual = allEqual && value(i) == value(0);
  }
  if (allEqual) return value(0);
  const auto weight = [&](size_t i) { return exp(entropy(i) - largest); };
  const double sum = reproducibleSum(n, [&](size_t i) { return weight(i) * value(i); });
  return sum / reproducibleSum(n, weight);
}

}  // namespace turnwise
