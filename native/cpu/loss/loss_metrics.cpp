// Sums, counts and extrema of the loss terms. Every sum is a reproducible one: no metric depends on the order of
// trajectories or threads.
#include <algorithm>
#include <limits>

#include "../../math/reproducible_sum.h"
#include "loss_terms.h"

namespace turnwise::cpu {

namespace {

/// A NaN stays once seen, whatever its place.
struct Extremes {
  double smallest = std::numeric_limits<double>::infinity();
  double largest = -std::numeric_limits<double>::infinity();
  void add(double x) {
    smallest = x >= smallest || smallest != smallest ? smallest : x;
    largest = x <= largest || largest != largest ? largest : x;
  }
};

}  // namespace

/// Moves the loss tokens' terms to the front, so that the bits of a sum depend on their number alone and not on what
/// lies between them. Goes by what was evaluated, not by the mask, which may have changed since.
size_t LossTerms::packTerms() {
  const auto isEmpty = [](const Term& term) { return !(term.flags & Term::kEvaluated); };
  return static_cast<size_t>(std::remove_if(terms_.begin(), terms_.end(), isEmpty) - terms_.begin());
}

Status LossTerms::finish() {
  const size_t count = packTerms();
  writeSums(count);
  writeWeights(count);
  writeCounts(count);
  return args_.nonFinite == NonFinite::propagate ? Status{} : firstNonFinite(count);
}

void LossTerms::writeSums(size_t count) {
  const auto sum = [&](Metric metric, auto&& value) {
    set(metric, reproducibleSum(count, [&](size_t i) -> double { return value(terms_[i]); }));
  };
  const auto sumIf = [&](bool on, Metric metric, auto&& value) { on ? sum(metric, value) : set(metric, 0.0); };
  sum(Metric::policyNumerator, [](const Term& t) { return t.policy; });
  sumIf(klTermOn_, Metric::klNumerator, [this](const Term& t) { return args_.kl.coef * t.weight * t.kl; });
  sumIf(klTermOn_, Metric::klSum, [](const Term& t) { return t.kl; });
  sumIf(entropyBonusOn_, Metric::entropyNumerator,
        [this](const Term& t) { return -args_.entropyCoef * t.weight * args_.entropy[t.token]; });
  sumIf(static_cast<bool>(args_.entropy), Metric::entropySum, [this](const Term& t) { return args_.entropy[t.token]; });
  sum(Metric::ratioSum, [](const Term& t) { return t.ratio; });
  sum(Metric::ratioSquareSum, [](const Term& t) { return t.ratio * t.ratio; });
  sum(Metric::oldKlK1Sum, [this](const Term& t) { return -logRatio(t.token); });
  sum(Metric::oldKlK3Sum, [](const Term& t) { return t.oldKlK3; });
  set(Metric::lossDenominator, denominator_);
  set(Metric::lossNumerator, get(Metric::policyNumerator) + get(Metric::klNumerator) + get(Metric::entropyNumerator));
}

void LossTerms::writeWeights(size_t count) {
  const auto weight = [&](size_t i) { return weights_.any() ? weights_.product(terms_[i].token) : 1.0; };
  Extremes weights, ratios;
  for (size_t i = 0; i < count; ++i) {
    weights.add(weight(i));
    ratios.add(terms_[i].ratio);
  }
  set(Metric::ratioMin, ratios.smallest);
  set(Metric::ratioMax, ratios.largest);
  set(Metric::weightMin, weights.smallest);
  set(Metric::weightMax, weights.largest);
  const auto ones = static_cast<double>(count);
  set(Metric::weightSum, weights_.any() ? reproducibleSum(count, weight) : ones);
  set(Metric::weightSquareSum,
      weights_.any() ? reproducibleSum(count, [&](size_t i) { return weight(i) * weight(i); }) : ones);
}

void LossTerms::writeCounts(size_t count) {
  const auto tally = [&](Metric metric, Term::Flag flag) {
    set(metric, std::count_if(terms_.begin(), terms_.begin() + count, [&](const Term& t) { return t.flags & flag; }));
  };
  tally(Metric::clippedLow, Term::kClippedLow);
  tally(Metric::clippedHigh, Term::kClippedHigh);
  tally(Metric::clippedDual, Term::kClippedDual);
  tally(Metric::clampedLogRatio, Term::kClampedLogRatio);
  tally(Metric::clampedKl, Term::kClampedKl);
  tally(Metric::masked, Term::kMasked);
  tally(Metric::truncatedWeights, Term::kTruncated);
  tally(Metric::nonFinite, Term::kNonFinite);
  set(Metric::tokens, static_cast<double>(count));
}

Status LossTerms::firstNonFinite(size_t count) const {
  for (size_t i = 0; i < count; ++i) {
    const Term& term = terms_[i];
    if (term.flags & Term::kNonFinite) return {StatusCode::nonFiniteLogProb, static_cast<int64_t>(term.token)};
  }
  return {};
}

}  // namespace turnwise::cpu
