#include "policy_loss.h"

#include "arguments.h"
#include "gather_log_probs.h"
#include "logits_gradient.h"
#include "segment_turns.h"
#include "surrogate.h"
#include "turn_statistics.h"

namespace turnwise {

namespace {

/// The same memory and the same length.
template <class A, class B>
bool same(const View<A>& a, const View<B>& b) {
  return a.data == b.data && a.size == b.size;
}

bool sharesRows(const GatherLogProbs& gather, const LogitsGradient& gradient) {
  const ConstRows &read = gather.logits, &again = gradient.logits;
  return again.data == read.data && again.dtype == read.dtype && again.width == read.width &&
         again.count == read.count && again.rowStride() == read.rowStride() && same(gradient.targets, gather.targets) &&
         same(gradient.actionMask, gather.actionMask) && gradient.temperature == gather.temperature;
}

bool sharesTokens(const PolicyLoss& args) {
  const GatherLogProbs& gather = args.gather;
  const Surrogate& surrogate = args.surrogate;
  const LogitsGradient& gradient = args.gradient;
  return same(surrogate.logProbs, gather.logProbs) && same(gradient.logProbs, gather.logProbs) &&
         same(gradient.logSumExp, gather.logSumExp) &&
         (!surrogate.entropy || same(surrogate.entropy, gather.entropy)) &&
         (!gradient.entropy || same(gradient.entropy, gather.entropy)) &&
         (!gradient.coefficients || same(gradient.coefficients, surrogate.coefficients)) &&
         (!gradient.entropyCoefficients || same(gradient.entropyCoefficients, surrogate.entropyCoefficients));
}

bool sharesTurns(const SegmentTurns& segment, const Turns& turns) {
  return same(segment.starts, turns.starts) && same(segment.ends, turns.ends) && same(segment.tokens, turns.tokens) &&
         same(segment.trajectory, turns.trajectory) && same(segment.index, turns.index);
}

bool sharesSegments(const PolicyLoss& args) {
  if (!args.segment) return true;
  const SegmentTurns& segment = *args.segment;
  return segment.effectiveMask && sharesTurns(segment, args.surrogate.turns) &&
         (!args.statistics || sharesTurns(segment, args.statistics->turns)) &&
         (!args.statistics || !args.statistics->actionMask ||
          same(segment.effectiveMask, args.statistics->actionMask)) &&
         same(segment.effectiveMask, args.gather.actionMask) && same(segment.effectiveMask, args.surrogate.actionMask);
}

bool sharesCredit(const PolicyLoss& args) {
  return !args.statistics || (args.surrogate.advantageLevel == args.statistics->resultLevel &&
                              same(args.surrogate.advantages, args.statistics->advantages));
}

/// Whether what gather writes lies on what a later op reads as an input of its own: other rows' terms would then read
/// it before or after, as the threads have it.
bool gatheredOverInputs(const PolicyLoss& args) {
  const Surrogate& loss = args.surrogate;
  return anyOverlap(
      {args.gather.logProbs, args.gather.logSumExp, args.gather.entropy},
      {loss.refLogProbs, loss.actionMask, loss.turns.starts, loss.turns.ends, loss.turns.tokens, loss.turns.trajectory,
       loss.turns.index, loss.groups, loss.advantages, loss.clipScale, loss.ratioTargets, args.gather.targets});
}

}  // namespace

bool validArguments(const PolicyLoss& args) {
  // The bonus is in the loss; a gradient without it would be that of another loss.
  const bool bonus = args.surrogate.entropyCoef == 0 || args.gradient.entropyCoefficients;
  const bool each = (!args.segment || validArguments(*args.segment)) &&
                    (!args.statistics || validArguments(*args.statistics)) && validArguments(args.gather) &&
                    validArguments(args.surrogate) && validArguments(args.gradient);
  return each && sharesRows(args.gather, args.gradient) && sharesTokens(args) && bonus && sharesSegments(args) &&
         sharesCredit(args) && !gatheredOverInputs(args);
}

}  // namespace turnwise
