// The value of a node of a tree of turns from what lies below it.
#pragma once
#include "../ops.h"
#include "absent.h"
#include "libm.h"
#include "reproducible_sum.h"

namespace turnwise {

/// Mean of value(0..n-1), n >= 1; the same bits for any order, and of equal values exactly that value.
template <class Crew, class Value>
TURNWISE_HD double meanOf(const Crew& crew, size_t n, const Value& value) {
  bool allEqual = true;
  for (size_t i = crew.rank(); i < n; i += crew.size()) allEqual = allEqual && value(i) == value(0);
  return crew.all(allEqual) ? value(0) : reproducibleSum(crew, n, value) / static_cast<double>(n);
}

/// sum w_i value(i) / sum w_i, w = softmax(entropy(0..n-1)): children where the policy was less sure count more.
/// AT2PO (arXiv 2601.04767), child_softmax. As meanOf otherwise.
template <class Crew, class Value, class Entropy>
TURNWISE_HD double softmaxMean(const Crew& crew, size_t n, const Value& value, const Entropy& entropy) {
  double largest = entropy(0);
  bool allEqual = true;
  for (size_t i = crew.rank(); i < n; i += crew.size()) {
    largest = entropy(i) > largest ? entropy(i) : largest;
    allEqual = allEqual && value(i) == value(0);
  }
  if (crew.all(allEqual)) return value(0);
  largest = crew.largest(largest);
  const auto weight = [&](size_t i) { return exp(entropy(i) - largest); };
  const double sum = reproducibleSum(crew, n, [&](size_t i) { return weight(i) * value(i); });
  return sum / reproducibleSum(crew, n, weight);
}

/// The value of a node over what it is compared with.
TURNWISE_HD inline double overBaseline(TreeBaseline kind, double own, double ofParent, double ofRoot) {
  const double baseline = kind == TreeBaseline::parent ? ofParent : kind == TreeBaseline::root ? ofRoot : 0.0;
  return isAbsent(own) ? own : present(own - baseline);
}

}  // namespace turnwise
