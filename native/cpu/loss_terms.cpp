// Ratio, gate, KL and aggregation of a batch: loss terms and dLoss/dLogProb, token by token, in float64.
//
// A unit's ratio needs all its tokens before the first gate, so evaluate() walks a turn or trajectory twice (three
// times for the true mean, whose derivative is shared). Nothing is shared between units but read-only weights: no
// locks.
#include "loss_terms.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "../math/aggregate.h"
#include "../math/gate.h"
#include "../math/reproducible_sum.h"
#include "valid_turns.h"

namespace turnwise::cpu {

namespace {

enum TermFlag : uint8_t {
  kClippedLow = 1,
  kClippedHigh = 2,
  kClippedDual = 4,
  kClampedLogRatio = 8,
  kClampedKl = 16,
  kNonFinite = 32,
  kEvaluated = 64,
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

LossTerms::LossTerms(const Surrogate& args) : args_(args) {
  if (!validSizes() || outputsOverlap()) {
    status_.code = StatusCode::invalidArgument;
    return;
  }
  klTermOn_ = args.kl.coef != 0 && args.refLogProbs;
  denominator_ = lossDenominator(args.aggregate, args.denominators);
  try {
    copyTurns();
    if (!status_) return;
    prepareWeights();
    terms_.resize(args.logProbs.size);
    prepareUnits();
  } catch (const std::bad_alloc&) {
    unitFirst_.clear();
    starts_.clear();
    ends_.clear();
    status_.code = StatusCode::outOfMemory;
    return;
  }
  std::fill_n(args.coefficients.data, args.coefficients.size, 0.0);
}

bool LossTerms::validSizes() const {
  const size_t tokens = args_.logProbs.size;
  const size_t turns = args_.turns.starts.size;
  const size_t advantages = args_.advantageLevel == Level::token ? tokens : turns;
  return tokens <= std::numeric_limits<uint32_t>::max() && args_.oldLogProbs.size == tokens &&
         args_.actionMask.size == tokens && args_.coefficients.size == tokens &&
         (!args_.refLogProbs || args_.refLogProbs.size == tokens) && (!args_.entropy || args_.entropy.size == tokens) &&
         args_.advantageLevel != Level::sequence && args_.advantages.size == advantages &&
         (!args_.clipScale || args_.clipScale.size == advantages) && args_.metrics.size == EnumNames<Metric>::count &&
         sameLengths(args_.turns);
}

bool LossTerms::outputsOverlap() const {
  const Turns& turns = args_.turns;
  return anyOverlap(
      {args_.coefficients, args_.metrics},
      {args_.logProbs, args_.oldLogProbs, args_.refLogProbs, args_.entropy, args_.actionMask, turns.starts, turns.ends,
       turns.tokens, turns.trajectory, turns.index, args_.advantages, args_.clipScale});
}

/// The arrays that say where to read and write. A caller's thread may change them at any time, so the copies are
/// what is checked and used.
void LossTerms::copyTurns() {
  starts_ = ownCopy(args_.turns.starts);
  ends_ = ownCopy(args_.turns.ends);
  trajectory_ = ownCopy(args_.turns.trajectory);
  turnTokens_ = ownCopy(args_.turns.tokens);
  if (validTrajectories(trajectory_) && validSpans(starts_, ends_, turnTokens_, args_.logProbs.size)) return;
  starts_.clear();
  ends_.clear();
  status_.code = StatusCode::invalidArgument;
}

void LossTerms::prepareUnits() {
  unitFirst_.reserve(trajectory_.size() + 1);
  for (size_t k = 0; k < trajectory_.size(); ++k) {
    const bool continues = args_.ratio.level == Level::sequence && k > 0 && trajectory_[k] == trajectory_[k - 1];
    if (!continues) unitFirst_.push_back(k);
  }
  unitFirst_.push_back(trajectory_.size());
}

void LossTerms::prepareWeights() {
  const size_t count = trajectory_.size();
  weight_.resize(count);
  for (size_t first = 0; first < count;) {
    size_t last = first;
    double trajectoryTokens = 0;
    while (last < count && trajectory_[last] == trajectory_[first]) trajectoryTokens += turnTokens_[last++];
    for (; first < last; ++first) {
      weight_[first] = termWeight(args_.aggregate, turnTokens_[first], trajectoryTokens, args_.horizon);
    }
  }
}

double LossTerms::logRatio(size_t token) const {
  return static_cast<double>(args_.logProbs[token]) - static_cast<double>(args_.oldLogProbs[token]);
}

/// Stores the token's term, sets its coefficient to the KL part and returns the policy part, (c / D) df/dx.
double LossTerms::evaluateTerm(size_t turn, size_t token, const ImportanceRatio& ratio) {
  const size_t a = args_.advantageLevel == Level::token ? token : turn;
  const GateTerm gate = ppoGate(args_.advantages[a], ratio, args_.clipScale ? args_.clipScale[a] : 1.0, args_.gate);
  const double weight = weight_[turn];
  // Selected, not multiplied: with D = 0 a non-finite derivative must still give 0.
  const double share = denominator_ != 0 ? weight / denominator_ : 0.0;
  const double x = logRatio(token);

  Term& term = terms_[token];
  term.policy = weight * gate.value;
  term.ratio = ratio.value;
  term.oldKlK3 = std::expm1(x) - x;
  term.token = static_cast<uint32_t>(token);
  term.flags = kEvaluated | (gate.clippedLow ? kClippedLow : 0) | (gate.clippedHigh ? kClippedHigh : 0) |
               (gate.clippedDual ? kClippedDual : 0) | (ratio.clamped ? kClampedLogRatio : 0);
  bool finite = std::isfinite(args_.logProbs[token]) && std::isfinite(args_.oldLogProbs[token]);
  double klCoefficient = 0;
  if (klTermOn_) {
    const double reference = args_.refLogProbs[token];
    const KlTerm kl = klTerm(args_.logProbs[token] - reference, args_.kl);
    finite = finite && std::isfinite(reference);
    term.kl = kl.value;
    term.weightedKl = args_.kl.coef * weight * kl.value;
    if (kl.clamped) term.flags |= kClampedKl;
    if (share != 0) klCoefficient = args_.kl.coef * share * kl.gradient;
  }
  args_.coefficients[token] = klCoefficient;
  if (!finite) term.flags |= kNonFinite;
  return share != 0 ? share * gate.derivative : 0.0;
}

void LossTerms::evaluateToken(size_t turn, size_t token) {
  if (!inLoss(token)) return;
  const double policy = evaluateTerm(turn, token, importanceRatio(logRatio(token), args_.ratio));
  args_.coefficients[token] += policy;
}

void LossTerms::evaluate(const Unit& unit) {
  const auto forEachLossToken = [&](auto&& visit) {
    for (size_t k = unit.firstTurn; k < unit.lastTurn; ++k) {
      for (size_t n = starts_[k]; n < static_cast<size_t>(ends_[k]); ++n) {
        if (inLoss(n)) visit(k, n);
      }
    }
  };
  if (args_.ratio.level == Level::token) {
    forEachLossToken([&](size_t k, size_t n) { evaluateToken(k, n); });
    return;
  }
  double sum = 0;
  size_t count = 0;
  forEachLossToken([&](size_t, size_t n) {
    sum += logRatio(n);
    ++count;
  });
  if (count == 0) return;
  const ImportanceRatio ratio = importanceRatio(sum / static_cast<double>(count), args_.ratio);
  if (args_.ratio.form == RatioForm::straightThrough) {
    forEachLossToken([&](size_t k, size_t n) { args_.coefficients[n] += evaluateTerm(k, n, ratio); });
    return;
  }
  double shared = 0;
  forEachLossToken([&](size_t k, size_t n) { shared += evaluateTerm(k, n, ratio); });
  shared /= static_cast<double>(count);
  forEachLossToken([&](size_t, size_t n) { args_.coefficients[n] += shared; });
}

/// Moves the loss tokens' terms to the front, so that the bits of a sum depend on their number alone and not on what
/// lies between them. Goes by what was evaluated, not by the mask, which may have changed since.
size_t LossTerms::packTerms() {
  const auto isEmpty = [](const Term& term) { return !(term.flags & kEvaluated); };
  return static_cast<size_t>(std::remove_if(terms_.begin(), terms_.end(), isEmpty) - terms_.begin());
}

Status LossTerms::finish() {
  const size_t count = packTerms();
  const auto set = [&](Metric metric, double value) { args_.metrics[static_cast<size_t>(metric)] = value; };
  const auto sum = [&](Metric metric, auto&& value) {
    set(metric, reproducibleSum(count, [&](size_t i) -> double { return value(terms_[i]); }));
  };
  const auto tally = [&](Metric metric, TermFlag flag) {
    set(metric, std::count_if(terms_.begin(), terms_.begin() + count, [&](const Term& t) { return t.flags & flag; }));
  };
  sum(Metric::policyNumerator, [](const Term& t) { return t.policy; });
  sum(Metric::klNumerator, [](const Term& t) { return t.weightedKl; });
  sum(Metric::klSum, [](const Term& t) { return t.kl; });
  sum(Metric::ratioSum, [](const Term& t) { return t.ratio; });
  sum(Metric::ratioSquareSum, [](const Term& t) { return t.ratio * t.ratio; });
  sum(Metric::oldKlK1Sum, [this](const Term& t) { return -logRatio(t.token); });
  sum(Metric::oldKlK3Sum, [](const Term& t) { return t.oldKlK3; });
  sum(Metric::entropySum, [this](const Term& t) { return args_.entropy ? args_.entropy[t.token] : 0.0f; });
  tally(Metric::clippedLow, kClippedLow);
  tally(Metric::clippedHigh, kClippedHigh);
  tally(Metric::clippedDual, kClippedDual);
  tally(Metric::clampedLogRatio, kClampedLogRatio);
  tally(Metric::clampedKl, kClampedKl);
  tally(Metric::nonFinite, kNonFinite);
  set(Metric::tokens, static_cast<double>(count));
  set(Metric::lossDenominator, denominator_);
  set(Metric::lossNumerator, args_.metrics[static_cast<size_t>(Metric::policyNumerator)] +
                                 args_.metrics[static_cast<size_t>(Metric::klNumerator)]);

  Status status;
  double smallest = kInfinity, largest = -kInfinity;
  for (size_t i = 0; i < count; ++i) {
    const Term& term = terms_[i];
    // A NaN ratio stays once seen, whatever its place.
    smallest = term.ratio >= smallest || smallest != smallest ? smallest : term.ratio;
    largest = term.ratio <= largest || largest != largest ? largest : term.ratio;
    if ((term.flags & kNonFinite) && status && args_.nonFinite != NonFinite::propagate) {
      status = {StatusCode::nonFiniteLogProb, static_cast<int64_t>(term.token)};
    }
  }
  set(Metric::ratioMin, smallest);
  set(Metric::ratioMax, largest);
  return status;
}

}  // namespace turnwise::cpu
