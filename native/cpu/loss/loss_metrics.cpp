// Sums, counts and extrema of the loss terms (native/loss/term_metrics.h).
#include <algorithm>

#include "../../loss/term_metrics.h"
#include "loss_terms.h"

namespace turnwise::cpu {

namespace {

/// Every sum in a loop of its own, with nothing else in it.
template <int... i>
void writeSums(const LossBatch& batch, size_t count, std::integer_sequence<int, i...>) {
  ((metricOf(batch, summedMetric(i)) = sumOfTerms(Solo(), batch, summedMetric(i), count, count)), ...);
}

}  // namespace

/// Moves the loss tokens' terms to the front, so that the sums need not pass over the rest again and again. Goes by
/// what was evaluated, not by the mask, which may have changed since.
size_t LossTerms::packTerms() {
  const auto isEmpty = [](const Term& term) { return !(term.flags & Term::kEvaluated); };
  return static_cast<size_t>(std::remove_if(terms_.begin(), terms_.end(), isEmpty) - terms_.begin());
}

Status LossTerms::finish() {
  const size_t count = packTerms();
  TermCounts counts;
  TermExtremes extremes;
  double largest = 0;
  for (size_t i = 0; i < count; ++i) {
    counts.add(terms_[i]);
    extremes.add(batch_, terms_[i]);
    largest = largerCoefficient(batch_, largest, terms_[i]);
  }
  writeSums(batch_, count, std::make_integer_sequence<int, kSummedMetrics>());
  writeRest(batch_, count, counts, extremes, largest);
  return batch_.args.nonFinite == NonFinite::propagate ? Status{} : firstNonFinite(count);
}

Status LossTerms::firstNonFinite(size_t count) const {
  for (size_t i = 0; i < count; ++i) {
    const Term& term = terms_[i];
    if (term.flags & Term::kNonFinite) return {StatusCode::nonFiniteLogProb, static_cast<int64_t>(term.token)};
  }
  return {};
}

}  // namespace turnwise::cpu
