// The op list: the only place where the native side spells an op's name and arguments.
//
// From it follow the argument structs, the CPU and CUDA tables (backend.h), the N-API exports with their asynchronous
// twins and argument conversion (binding/), and the schema that the drift check holds against lib/ops.ts.
// Every op reads inputs and writes into the buffers it is given (null = not wanted); it allocates no result.
//
// Shapes: N tokens (rows of logits), V vocabulary, M trajectories, K turns, C channels. Packed, ragged layout:
// trajectory after trajectory, turn after turn. `actionMask` inside an op is the effective one: 1 = this token lies in
// a turn and counts in the loss. Everything else is never read into arithmetic.
#pragma once
#include "record.h"
#include "types.h"

namespace turnwise {

// ---------------------------------------------------------------------------------------------------- vocabulary

#define TURNWISE_STATUS_CODE(E)                                                                                        \
  E(ok, "ok")                                                                                                          \
  E(aborted, "aborted")                      /* the abort flag was raised */                                           \
  E(invalidArgument, "invalid-argument")     /* a buffer's size does not fit the others */                             \
  E(targetOutOfRange, "target-out-of-range") /* position = row */                                                      \
  E(nonFiniteLogits, "non-finite-logits")    /* NaN or +inf, or all -inf; position = row */                            \
  E(nonFiniteLogProb, "non-finite-log-prob") /* target's logit is -inf, or a NaN/inf input; position = token */        \
  E(logitsTooLarge, "logits-too-large") /* |logSumExp| above kLargestLogSumExp, gradient wanted; position = row */     \
  E(turnUnclosed, "turn-unclosed")      /* position = token of the open delimiter */                                   \
  E(turnUnopened, "turn-unopened")      /* position = token of the close delimiter */                                  \
  E(turnNested, "turn-nested")          /* position = token of the second open delimiter */                            \
  E(turnOrder, "turn-order")            /* ids decrease, or spans are unsorted; position = token or span */            \
  E(turnSplit, "turn-split")            /* an id comes back after a gap; position = token */                           \
  E(turnOverlap, "turn-overlap")        /* position = span */                                                          \
  E(turnRange, "turn-range")            /* empty, reversed, outside [0, N) or across trajectories; position = span */  \
  E(maskOutsideTurn, "mask-outside-turn") /* a mask-1 token in no turn; position = token */                            \
  E(groupOfOne, "group-of-one")           /* singleton: 'throw'; position = turn or trajectory */                      \
  E(outOfMemory, "out-of-memory")
TURNWISE_ENUM(StatusCode, TURNWISE_STATUS_CODE)

#define TURNWISE_SEGMENT_BY(E)                                                                                         \
  E(turnIds, "turn-ids") E(actionMask, "action-mask") E(delimiters, "delimiters") E(spans, "spans")
TURNWISE_ENUM(SegmentBy, TURNWISE_SEGMENT_BY)

#define TURNWISE_UNCLOSED(E) E(fail, "throw") E(end, "end")
TURNWISE_ENUM(Unclosed, TURNWISE_UNCLOSED)

#define TURNWISE_NON_FINITE(E) E(fail, "throw") E(checkFirst, "check-first") E(propagate, "propagate")
TURNWISE_ENUM(NonFinite, TURNWISE_NON_FINITE)

// Credit assignment (phase A).
#define TURNWISE_SIGNAL(E)                                                                                             \
  E(outcome, "outcome") E(turnReward, "turn-reward") E(informationGain, "information-gain") E(joined, "joined")
TURNWISE_ENUM(Signal, TURNWISE_SIGNAL)

#define TURNWISE_ACCUMULATE(E) E(none, "none") E(discounted, "discounted")
TURNWISE_ENUM(Accumulate, TURNWISE_ACCUMULATE)

#define TURNWISE_BOOTSTRAP(E) E(zero, "zero") E(outcome, "outcome")
TURNWISE_ENUM(Bootstrap, TURNWISE_BOOTSTRAP)

#define TURNWISE_GROUP_BY(E) E(batch, "batch") E(prompt, "prompt") E(promptTurn, "prompt-turn")
TURNWISE_ENUM(GroupBy, TURNWISE_GROUP_BY)

#define TURNWISE_SINGLETON(E) E(zero, "zero") E(raw, "raw") E(fail, "throw")
TURNWISE_ENUM(Singleton, TURNWISE_SINGLETON)

#define TURNWISE_CENTER(E) E(none, "none") E(mean, "mean")
TURNWISE_ENUM(Center, TURNWISE_CENTER)

#define TURNWISE_SCALE(E) E(none, "none") E(std, "std")
TURNWISE_ENUM(Scale, TURNWISE_SCALE)

#define TURNWISE_DIVIDE(E) E(none, "none") E(sqrtTerms, "sqrt-terms")
TURNWISE_ENUM(Divide, TURNWISE_DIVIDE)

#define TURNWISE_COMBINE(E) E(sum, "sum") E(join, "join")
TURNWISE_ENUM(Combine, TURNWISE_COMBINE)

// Loss (phase B).
#define TURNWISE_LEVEL(E) E(token, "token") E(turn, "turn") E(sequence, "sequence")
TURNWISE_ENUM(Level, TURNWISE_LEVEL)

#define TURNWISE_RATIO_FORM(E) E(straightThrough, "straight-through") E(trueMean, "true")
TURNWISE_ENUM(RatioForm, TURNWISE_RATIO_FORM)

#define TURNWISE_GATE_KIND(E) E(ppo, "ppo")
TURNWISE_ENUM(GateKind, TURNWISE_GATE_KIND)

#define TURNWISE_KL_ESTIMATOR(E) E(k1, "k1") E(k2, "k2") E(k3, "k3")
TURNWISE_ENUM(KlEstimator, TURNWISE_KL_ESTIMATOR)

#define TURNWISE_AGGREGATE(E)                                                                                          \
  E(tokenMean, "token-mean")                                                                                           \
  E(seqMeanTokenMean, "seq-mean-token-mean")                                                                           \
  E(seqMeanTokenSum, "seq-mean-token-sum")                                                                             \
  E(seqMeanTokenSumNorm, "seq-mean-token-sum-norm")                                                                    \
  E(turnMeanTokenMean, "turn-mean-token-mean") E(tokenSum, "token-sum")
TURNWISE_ENUM(Aggregate, TURNWISE_AGGREGATE)

/// Slots of `Surrogate::metrics`. Sums, counts and extrema over loss tokens, so that any consumer can form the means.
#define TURNWISE_METRIC(E)                                                                                             \
  E(lossNumerator, "lossNumerator") /* sum of weighted terms; loss = numerator / denominator */                        \
  E(lossDenominator, "lossDenominator")                                                                                \
  E(policyNumerator, "policyNumerator") /* the surrogate's part of lossNumerator */                                    \
  E(klNumerator, "klNumerator")         /* the KL term's part (already times its coefficient) */                       \
  E(tokens, "tokens")                   /* loss tokens of this batch */                                                \
  E(clippedLow, "clippedLow")           /* tokens where the lower bound is active (A < 0) */                           \
  E(clippedHigh, "clippedHigh")         /* tokens where the upper bound is active (A > 0) */                           \
  E(clippedDual, "clippedDual")         /* tokens where dual clip is active */                                         \
  E(clampedLogRatio, "clampedLogRatio") /* tokens whose log-ratio hit ratio.clamp */                                   \
  E(clampedKl, "clampedKl")             /* tokens whose KL hit kl.logRatioClamp or kl.valueClamp */                    \
  E(ratioSum, "ratioSum")                                                                                              \
  E(ratioSquareSum, "ratioSquareSum")                                                                                  \
  E(ratioMin, "ratioMin")     /* +inf when there is no loss token */                                                   \
  E(ratioMax, "ratioMax")     /* -inf when there is no loss token */                                                   \
  E(oldKlK1Sum, "oldKlK1Sum") /* sum of old - current, per token */                                                    \
  E(oldKlK3Sum, "oldKlK3Sum") /* sum of exp(x) - 1 - x, x = current - old, per token */                                \
  E(klSum, "klSum")           /* sum of the KL estimator's value to refLogProbs */                                     \
  E(entropySum, "entropySum")                                                                                          \
  E(nonFinite, "nonFinite") /* loss tokens with a non-finite log-prob (propagate) */
TURNWISE_ENUM(Metric, TURNWISE_METRIC)

/// Slots of one channel's row of `TurnStatistics::groupStats`.
#define TURNWISE_GROUP_STAT(E)                                                                                         \
  E(groups, "groups")                                                                                                  \
  E(singletons, "singletons")     /* groups of one member */                                                           \
  E(zeroVariance, "zeroVariance") /* groups of two or more equal members */                                            \
  E(members, "members")                                                                                                \
  E(smallest, "smallest") /* members of the smallest group; 0 without groups */                                        \
  E(largest, "largest")
TURNWISE_ENUM(GroupStat, TURNWISE_GROUP_STAT)

// ---------------------------------------------------------------------------------------------------- shared records

/// Turns in token order; the turns of one trajectory are adjacent. Token span [starts, ends), `tokens` = loss tokens in
/// it.
#define TURNWISE_TURNS(F)                                                                                              \
  F(View<const int32_t>, starts)                                                                                       \
  F(View<const int32_t>, ends)                                                                                         \
  F(View<const int32_t>, tokens)                                                                                       \
  F(View<const int32_t>, trajectory)                                                                                   \
  F(View<const int32_t>, index)
TURNWISE_RECORD(Turns, TURNWISE_TURNS)

/// One channel of credit: signal -> accumulate -> group -> center, scale -> then -> weight. algorithms: see
/// lib/estimator.
#define TURNWISE_CHANNEL(F)                                                                                            \
  F(Signal, signal)                                                                                                    \
  F(bool, matchOutcomeStd) /* multiply by std(outcome) / std(signal) over the batch, each at least stdFloor */         \
  F(double, stdFloor)                                                                                                  \
  F(Accumulate, accumulate) /* before the statistics */                                                                \
  F(double, gamma)                                                                                                     \
  F(Bootstrap, bootstrap) /* outcome: the recursion starts from gamma * outcome at the last turn */                    \
  F(GroupBy, group)                                                                                                    \
  F(Singleton, singleton)                                                                                              \
  F(Center, center)                                                                                                    \
  F(Scale, scale)                                                                                                      \
  F(int32_t, ddof)                                                                                                     \
  F(double, eps)           /* added to the standard deviation */                                                       \
  F(double, varianceFloor) /* added under the square root */                                                           \
  F(Accumulate, then)      /* after the statistics */                                                                  \
  F(double, thenGamma)                                                                                                 \
  F(Divide, thenDivide)                                                                                                \
  F(double, weight)     /* on every turn but the last of its trajectory */                                             \
  F(double, lastWeight) /* on the last turn */
TURNWISE_RECORD(Channel, TURNWISE_CHANNEL)

#define TURNWISE_RATIO(F) F(Level, level) F(RatioForm, form) F(double, clampLow) F(double, clampHigh)
TURNWISE_RECORD(Ratio, TURNWISE_RATIO)

/// dual = +inf switches dual clip off.
#define TURNWISE_GATE(F) F(GateKind, kind) F(double, low) F(double, high) F(double, dual)
TURNWISE_RECORD(Gate, TURNWISE_GATE)

/// coef = 0 switches the term off. The clamps are +inf when off.
#define TURNWISE_KL(F) F(double, coef) F(KlEstimator, estimator) F(double, logRatioClamp) F(double, valueClamp)
TURNWISE_RECORD(Kl, TURNWISE_KL)

/// Global counts: loss tokens, turns with a loss token, trajectories with a loss token. Exact integers.
#define TURNWISE_DENOMINATORS(F) F(double, tokens) F(double, turns) F(double, sequences)
TURNWISE_RECORD(Denominators, TURNWISE_DENOMINATORS)

// ---------------------------------------------------------------------------------------------------- ops

/// Turn spans from explicit ids, mask runs, delimiter tokens or given spans; checked for order, overlap, range and
/// pairing. Outputs have room for N turns (`spans`: as many as given); count[0] says how many there are.
#define TURNWISE_SEGMENT_TURNS(F)                                                                                      \
  F(SegmentBy, by)                                                                                                     \
  F(View<const int32_t>, trajectoryOffsets) /* [M+1], monotone, from 0 to N */                                         \
  F(View<const uint8_t>, actionMask)        /* [N] or null */                                                          \
  F(View<const int32_t>, turnIds)           /* [N], by turn-ids; -1 = in no turn */                                    \
  F(View<const int32_t>, tokenIds)          /* [N], by delimiters */                                                   \
  F(int32_t, openToken)                                                                                                \
  F(int32_t, closeToken)                                                                                               \
  F(Unclosed, unclosed)                                                                                                \
  F(View<const int32_t>, spanStarts) /* [K], by spans */                                                               \
  F(View<const int32_t>, spanEnds)                                                                                     \
  F(View<int32_t>, starts)                                                                                             \
  F(View<int32_t>, ends)                                                                                               \
  F(View<int32_t>, tokens)                                                                                             \
  F(View<int32_t>, trajectory)                                                                                         \
  F(View<int32_t>, index)                                                                                              \
  F(View<int32_t>, count) /* [1] */
TURNWISE_RECORD(SegmentTurns, TURNWISE_SEGMENT_TURNS)

/// Log-prob of each target, log-sum-exp and entropy of each row, of softmax(logits / temperature).
///   logProbs[n] = logits[n, targets[n]] / T - logSumExp[n]
/// Reads N*V once, writes no [N, V]. Rows with actionMask 0 are not read; their outputs are 0.
#define TURNWISE_GATHER_LOG_PROBS(F)                                                                                   \
  F(ConstRows, logits)                                                                                                 \
  F(View<const int32_t>, targets)    /* [N] */                                                                         \
  F(View<const uint8_t>, actionMask) /* [N] or null: every row */                                                      \
  F(double, temperature)                                                                                               \
  F(NonFinite, nonFinite)                                                                                              \
  F(View<float>, logProbs)   /* [N] */                                                                                 \
  F(View<double>, logSumExp) /* [N] or null; f64, because dLogits is formed from it */                                 \
  F(View<float>, entropy)    /* [N] or null */
TURNWISE_RECORD(GatherLogProbs, TURNWISE_GATHER_LOG_PROBS)

/// Grouped, normalised, accumulated turn signals; advantages and clip scales. Float64; the same bits for any order of
/// trajectories. A NaN signal is no signal. A NaN outcome takes its trajectory out (advantage 0, clip scale 1).
#define TURNWISE_TURN_STATISTICS(F)                                                                                    \
  F(Turns, turns)                                                                                                      \
  F(View<const int32_t>, groups)         /* [M] */                                                                     \
  F(View<const double>, outcome)         /* [M] or null */                                                             \
  F(View<const double>, turnRewards)     /* [K] or null */                                                             \
  F(View<const double>, informationGain) /* [K] or null */                                                             \
  F(ChannelList, channels)                                                                                             \
  F(Combine, combine)                                                                                                  \
  F(double, joinGamma)              /* combine = join: discounts the joined sequence */                                \
  F(int32_t, normalizedChannel)     /* the channel shown in normalizedSignal */                                        \
  F(double, clipScaleBeta)          /* clipScale = 1 + beta (2 sigmoid(z) - 1); 0 = no adaptation */                   \
  F(View<double>, advantages)       /* [K] */                                                                          \
  F(View<double>, clipScale)        /* [K] */                                                                          \
  F(View<double>, normalizedSignal) /* [K]; NaN = no signal */                                                         \
  F(View<double>, groupStats)       /* [C * GroupStat] */
using ChannelList = List<Channel, 8>;
TURNWISE_RECORD(TurnStatistics, TURNWISE_TURN_STATISTICS)

/// Ratio at its level, gate, KL and aggregation: loss, metrics and dLoss/dLogProb. Float64 throughout.
#define TURNWISE_SURROGATE(F)                                                                                          \
  F(View<const float>, logProbs)     /* [N] */                                                                         \
  F(View<const float>, oldLogProbs)  /* [N] */                                                                         \
  F(View<const float>, refLogProbs)  /* [N] or null */                                                                 \
  F(View<const float>, entropy)      /* [N] or null; metrics only */                                                   \
  F(View<const uint8_t>, actionMask) /* [N] */                                                                         \
  F(Turns, turns)                                                                                                      \
  F(Level, advantageLevel) /* turn: advantages and clipScale are [K]; token: [N] */                                    \
  F(View<const double>, advantages)                                                                                    \
  F(View<const double>, clipScale) /* or null: 1 */                                                                    \
  F(Ratio, ratio)                                                                                                      \
  F(Gate, gate)                                                                                                        \
  F(Kl, kl)                                                                                                            \
  F(Aggregate, aggregate)                                                                                              \
  F(double, horizon) /* seq-mean-token-sum-norm only */                                                                \
  F(Denominators, denominators)                                                                                        \
  F(NonFinite, nonFinite)                                                                                              \
  F(View<double>, coefficients) /* [N] dLoss/dLogProb */                                                               \
  F(View<double>, metrics)      /* [Metric] */
TURNWISE_RECORD(Surrogate, TURNWISE_SURROGATE)

/// Beyond this magnitude a float64 log-sum-exp (an ulp of it is 4e-7) loses its small part, log sum exp(z - max), and
/// with it dLogits its scale: policyLoss refuses such rows (logits-too-large), unless that part is negligible, as in a
/// one-hot row.
constexpr double kLargestLogSumExp = 0x1p31;
constexpr double kNegligibleLogSum = 1e-7;

/// dLogits[n, v] = gradScale * coefficients[n] * ([v == targets[n]] - softmax(logits[n] / T)[v]) / T
/// `gradient` may be the same memory as `logits`. Rows with coefficient 0 are written with zeros and not read.
/// Without coefficients (deferred row scale) every row with actionMask 1 has coefficient 1, and gradScale is not
/// applied.
#define TURNWISE_LOGITS_GRADIENT(F)                                                                                    \
  F(ConstRows, logits)                                                                                                 \
  F(View<const int32_t>, targets)     /* [N] */                                                                        \
  F(View<const uint8_t>, actionMask)  /* [N] or null: every row */                                                     \
  F(View<const float>, logProbs)      /* [N], as gathered */                                                           \
  F(View<const double>, logSumExp)    /* [N], as gathered */                                                           \
  F(View<const double>, coefficients) /* [N] or null */                                                                \
  F(double, temperature)                                                                                               \
  F(double, gradScale)                                                                                                 \
  F(Rows, gradient)            /* [N, V], dtype of logits */                                                           \
  F(View<double>, underflowed) /* [1] or null: elements that rounding to 16 bits made 0 */
TURNWISE_RECORD(LogitsGradient, TURNWISE_LOGITS_GRADIENT)

/// The fused step: the ops above on shared buffers (what one writes the next reads), in one call, logits read once and
/// written once where the coefficient is known from the row (or the turn fits in cache).
/// Equal to running them one after another, bit for bit.
#define TURNWISE_POLICY_LOSS(F)                                                                                        \
  F(Maybe<TurnStatistics>, statistics) /* null: advantages are given */                                                \
  F(GatherLogProbs, gather)                                                                                            \
  F(Surrogate, surrogate)                                                                                              \
  F(LogitsGradient, gradient)
TURNWISE_RECORD(PolicyLoss, TURNWISE_POLICY_LOSS)

/// One line per op: argument record, name in every backend and in JavaScript.
#define TURNWISE_OPS(X)                                                                                                \
  X(SegmentTurns, segmentTurns)                                                                                        \
  X(GatherLogProbs, gatherLogProbs)                                                                                    \
  X(TurnStatistics, turnStatistics)                                                                                    \
  X(Surrogate, surrogate)                                                                                              \
  X(LogitsGradient, logitsGradient)                                                                                    \
  X(PolicyLoss, policyLoss)

}  // namespace turnwise
