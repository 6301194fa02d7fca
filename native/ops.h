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
#include "vocabulary.h"

namespace turnwise {

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

/// KL(current || reference) per token. coef = 0 switches the term off. The clamps are +inf when off.
#define TURNWISE_KL(F)                                                                                                 \
  F(double, coef)                                                                                                      \
  F(KlEstimator, estimator)                                                                                            \
  F(KlGradient, gradient)  /* k2: the value of the estimator with the gradient of k2 */                                \
  F(bool, ratioCorrection) /* times the token's importance ratio, value and gradient */                                \
  F(double, logRatioClamp)                                                                                             \
  F(double, valueClamp)
TURNWISE_RECORD(Kl, TURNWISE_KL)

/// One channel of credit:
///   signal -> accumulate -> group -> transform, center, scale -> then -> gate, cap -> weight (lib/estimator/stages)
/// Its entries are the loss tokens [N], the turns [K] or the trajectories [M], as `level` says. The signals add up: a
/// coarser one is placed on the last entry of its unit or on every one, a finer one is summed.
#define TURNWISE_CHANNEL(F)                                                                                            \
  F(Level, level)                                                                                                      \
  F(View<const double>, trajectorySignal) /* [M] or null */                                                            \
  F(View<const double>, turnSignal)       /* [K] or null */                                                            \
  F(View<const double>, tokenSignal)      /* [N] or null */                                                            \
  F(Place, place)                                                                                                      \
  F(Kl, klPenalty)         /* token level: minus coef * KL(oldLogProbs, refLogProbs) on every loss token */            \
  F(bool, matchOutcomeStd) /* multiply by std(outcome) / std(signal) over the batch, each at least stdFloor */         \
  F(double, stdFloor)                                                                                                  \
  F(Accumulate, accumulate) /* before the statistics */                                                                \
  F(double, gamma)                                                                                                     \
  F(double, lambda)             /* gae */                                                                              \
  F(Bootstrap, bootstrap)       /* what follows the last entry of a trajectory */                                      \
  F(Observation, observation)   /* token level: reset ends the recursion at the end of every turn */                   \
  F(View<const double>, values) /* like the entries, or null: no gae */                                                \
  F(TreeBackup, treeBackup)     /* of accumulate or then = tree */                                                     \
  F(TreeBaseline, treeBaseline)                                                                                        \
  F(GroupBy, group)                                                                                                    \
  F(View<const int32_t>, keys) /* [M] at sequence level, else [K]; or null: not grouped by prompt-key */               \
  F(Members, members)          /* first: the statistics are over the first entry of each trajectory */                 \
  F(Singleton, singleton)                                                                                              \
  F(Transform, transform)                                                                                              \
  F(Center, center)                                                                                                    \
  F(View<const double>, baseline) /* like the entries, or null: center is not given */                                 \
  F(Scale, scale)                                                                                                      \
  F(int32_t, ddof)                                                                                                     \
  F(double, eps)           /* added to the standard deviation */                                                       \
  F(double, varianceFloor) /* added under the square root */                                                           \
  F(double, leastStd)      /* a smaller standard deviation counts as 1 */                                              \
  F(Then, then)            /* after the statistics */                                                                  \
  F(double, thenGamma)                                                                                                 \
  F(Divide, thenDivide)                                                                                                \
  F(double, gateTemperature) /* times sigmoid(-std of the prompt's outcomes / temperature); 0 = off */                 \
  F(double, capEps)          /* times min(1, max(sd(A) + eps, 1) / (sd(this) + eps)) over loss tokens; 0 = off */      \
  F(ChannelUse, use)                                                                                                   \
  F(double, weight)     /* on every turn but the last of its trajectory */                                             \
  F(double, lastWeight) /* on the last turn */
TURNWISE_RECORD(Channel, TURNWISE_CHANNEL)

/// A_k g_k + bonus f_{k+1}: g = exp(-decay h) / mean exp(-decay h), f = exp(-bonusDecay h), h = turn entropy, min-max.
#define TURNWISE_MODULATION(F) F(Modulate, kind) F(double, decay) F(double, bonus) F(double, bonusDecay)
TURNWISE_RECORD(Modulation, TURNWISE_MODULATION)

/// Of the finished advantages over the whole batch; weighed by loss tokens (over = token), by turns, or by trajectories
/// (sequence: the first turn of each).
#define TURNWISE_WHITEN(F) F(WhitenKind, kind) F(Level, over) F(int32_t, ddof) F(double, eps) F(double, varianceFloor)
TURNWISE_RECORD(Whiten, TURNWISE_WHITEN)

/// exp(x), x = mean or sum of the token log-ratios d of its level. Clamps and clips are +-inf when off.
#define TURNWISE_RATIO(F)                                                                                              \
  F(Level, level)                                                                                                      \
  F(RatioForm, form)                                                                                                   \
  F(Reduce, reduce)                                                                                                    \
  F(double, clampLow)                                                                                                  \
  F(double, clampHigh)                                                                                                 \
  F(double, tokenClamp) /* |d| of one token, before reducing */                                                        \
  F(double, clipLow)    /* GMPO: d of one token is cut from below at -clipLow where A < 0, */                          \
  F(double, clipHigh)   /* from above at clipHigh where A > 0 */
TURNWISE_RECORD(Ratio, TURNWISE_RATIO)

/// What the ratio does to the advantage (math/gates/ has the formulas). Each kind reads the fields that its formula
/// names; bounds are epsilons, +inf when off.
#define TURNWISE_GATE(F)                                                                                               \
  F(GateKind, kind)                                                                                                    \
  F(double, low)                                                                                                       \
  F(double, high)                                                                                                      \
  F(double, dual)                                                                                                      \
  F(Side, preserve)       /* grad-preserving: the side on which a clipped token keeps its gradient */                  \
  F(Measure, measure)     /* mask: of what; quadratic: penalty on the ratio or the log-ratio */                        \
  F(double, coef)         /* quadratic */                                                                              \
  F(double, positive)     /* A > 0: temperature of sigmoid, shape of gamma */                                          \
  F(double, negative)     /* otherwise */                                                                              \
  F(double, positiveRate) /* gamma */                                                                                  \
  F(double, negativeRate)                                                                                              \
  F(double, temperature) /* coupled */
TURNWISE_RECORD(Gate, TURNWISE_GATE)

/// A factor of a loss token's surrogate (not of its KL term), never differentiated.
#define TURNWISE_WEIGHT(F)                                                                                             \
  F(WeightKind, kind)                                                                                                  \
  F(Level, level)                                                                                                      \
  F(Reduce, reduce)                                                                                                    \
  F(WeightMode, mode)                                                                                                  \
  F(KlEstimator, divergence)                                                                                           \
  F(double, low)                                                                                                       \
  F(double, high)                                                                                                      \
  F(double, logClamp)
TURNWISE_RECORD(Weight, TURNWISE_WEIGHT)

/// Global counts: loss tokens; turns, trajectories and prompts with a loss token. Exact integers.
#define TURNWISE_DENOMINATORS(F) F(double, tokens) F(double, turns) F(double, sequences) F(double, prompts)
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
  F(View<int32_t>, count)         /* [1] */                                                                            \
  F(View<uint8_t>, effectiveMask) /* [N] or null; 1 = in a turn and in the loss */
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

/// Grouped, normalised, accumulated signals; advantages and clip scales. Float64; the same bits for any order of
/// trajectories (turns of one node are one turn: they have one value). A NaN signal is no signal. A NaN outcome takes
/// its trajectory out (advantage 0, clip scale 1). A group of one has the distance from its one member (singleton
/// zero).
#define TURNWISE_TURN_STATISTICS(F)                                                                                    \
  F(Turns, turns)                                                                                                      \
  F(View<const int32_t>, groups)         /* [M] */                                                                     \
  F(View<const double>, outcome)         /* [M] or null */                                                             \
  F(View<const uint8_t>, actionMask)     /* [N] or null: nothing here is per token */                                  \
  F(View<const float>, oldLogProbs)      /* [N] or null: no KL penalty */                                              \
  F(View<const float>, refLogProbs)      /* [N] or null */                                                             \
  F(View<const double>, turnEntropies)   /* [K] or null; child-softmax, modulation */                                  \
  F(View<const int32_t>, nodes)          /* [K] or null: every turn is a node of its own */                            \
  F(View<const double>, bootstrapValues) /* [M] or null; bootstrap given */                                            \
  F(View<const uint8_t>, truncated)      /* [M] or null; bootstrap carry */                                            \
  F(ChannelList, channels)                                                                                             \
  F(Combine, combine)                                                                                                  \
  F(double, joinGamma) /* combine = join: discounts the joined sequence */                                             \
  F(Modulation, modulation)                                                                                            \
  F(Whiten, whiten)                                                                                                    \
  F(int32_t, normalizedChannel) /* the channel shown in normalizedSignal */                                            \
  F(double, clipScaleBeta)      /* clipScale = 1 + beta (2 sigmoid(z) - 1); 0 = no adaptation */                       \
  F(Level, resultLevel)         /* turn, or token where a channel is per token */                                      \
  F(View<double>, advantages)   /* [K] or [N], as the other results */                                                 \
  F(View<double>, clipScale)                                                                                           \
  F(View<double>, ratioTargets)     /* or null: no channel is used so */                                               \
  F(View<double>, normalizedSignal) /* NaN = no signal */                                                              \
  F(View<double>, groupStats)       /* [C * GroupStat] */
using ChannelList = List<Channel, 8>;
TURNWISE_RECORD(TurnStatistics, TURNWISE_TURN_STATISTICS)

/// Ratio at its level, gate, weights, KL, entropy bonus and aggregation: loss, metrics, dLoss/dLogProb and
/// dLoss/dEntropy. Float64 throughout.
#define TURNWISE_SURROGATE(F)                                                                                          \
  F(View<const float>, logProbs)        /* [N] */                                                                      \
  F(View<const float>, oldLogProbs)     /* [N] the ratio's denominator */                                              \
  F(View<const float>, refLogProbs)     /* [N] or null */                                                              \
  F(View<const float>, rolloutLogProbs) /* [N] or null; weights importance and reject */                               \
  F(View<const float>, entropy)         /* [N] or null: no bonus, and no entropy in the metrics */                     \
  F(View<const double>, tokenWeights)   /* [N] or null; weight given */                                                \
  F(View<const uint8_t>, actionMask)    /* [N] */                                                                      \
  F(Turns, turns)                                                                                                      \
  F(View<const int32_t>, groups) /* [M] or null; gate log-sum-exp, prompts to be counted */                            \
  F(Level, advantageLevel)       /* turn: advantages, clipScale, ratioTargets are [K]; token: [N] */                   \
  F(View<const double>, advantages)                                                                                    \
  F(View<const double>, clipScale)    /* or null: 1 */                                                                 \
  F(View<const double>, ratioTargets) /* or null; gate l1-target */                                                    \
  F(Ratio, ratio)                                                                                                      \
  F(Gate, gate)                                                                                                        \
  F(WeightList, weights)                                                                                               \
  F(Kl, kl)                                                                                                            \
  F(double, entropyCoef) /* 0 = no bonus */                                                                            \
  F(Aggregate, aggregate)                                                                                              \
  F(double, horizon)                   /* seq-mean-token-sum-norm only */                                              \
  F(Maybe<Denominators>, denominators) /* null: counted from turns.tokens and groups; those of this batch alone */     \
  F(NonFinite, nonFinite)                                                                                              \
  F(View<double>, coefficients)        /* [N] dLoss/dLogProb */                                                        \
  F(View<double>, entropyCoefficients) /* [N] dLoss/dEntropy, or null: not wanted */                                   \
  F(View<double>, metrics)             /* [Metric] */
using WeightList = List<Weight, 4>;
TURNWISE_RECORD(Surrogate, TURNWISE_SURROGATE)

/// Beyond this magnitude a float64 log-sum-exp (an ulp of it is 4e-7) loses its small part, log sum exp(z - max), and
/// with it dLogits its scale: policyLoss refuses such rows (logits-too-large), unless that part is negligible, as in a
/// one-hot row.
constexpr double kLargestLogSumExp = 0x1p31;
constexpr double kNegligibleLogSum = 1e-7;

/// With p = softmax(logits[n] / T), c = coefficients[n] and e = entropyCoefficients[n] (0 without them):
///   dLogits[n, v] = gradScale * (c ([v == targets[n]] - p_v) - e p_v (log p_v + entropy[n])) / T
/// `gradient` may be the same memory as `logits`. Rows with c = e = 0 are written with zeros and not read.
/// Without coefficients (deferred row scale) every row with actionMask 1 has coefficient 1, and gradScale is not
/// applied.
#define TURNWISE_LOGITS_GRADIENT(F)                                                                                    \
  F(ConstRows, logits)                                                                                                 \
  F(View<const int32_t>, targets)            /* [N] */                                                                 \
  F(View<const uint8_t>, actionMask)         /* [N] or null: every row */                                              \
  F(View<const float>, logProbs)             /* [N], as gathered */                                                    \
  F(View<const double>, logSumExp)           /* [N], as gathered */                                                    \
  F(View<const double>, coefficients)        /* [N] or null */                                                         \
  F(View<const float>, entropy)              /* [N] or null, as gathered */                                            \
  F(View<const double>, entropyCoefficients) /* [N] or null */                                                         \
  F(double, temperature)                                                                                               \
  F(double, gradScale)                                                                                                 \
  F(Rows, gradient)            /* [N, V], dtype of logits */                                                           \
  F(View<double>, underflowed) /* [1] or null: elements that rounding to 16 bits made 0 */
TURNWISE_RECORD(LogitsGradient, TURNWISE_LOGITS_GRADIENT)

/// The fused step: the ops above on shared buffers (what one writes the next reads), in one call, logits read once and
/// written once where the coefficient is known from the row (or the turn fits in cache).
/// Equal to running them one after another, bit for bit. With `segment` its outputs are the turns and the mask of the
/// other ops; turn-count where there are not exactly as many turns as the others have room for.
#define TURNWISE_POLICY_LOSS(F)                                                                                        \
  F(Maybe<SegmentTurns>, segment)      /* null: turns are given */                                                     \
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
