// Every named choice of the ops, with its JavaScript spelling: one list per stage, one switch per list.
#pragma once
#include "record.h"

namespace turnwise {

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
  E(groupOfOne, "group-of-one")           /* singleton: 'throw'; position = entry of the channel */                    \
  E(treeBroken, "tree-broken")            /* a node with two parents or prompts; position = turn */                    \
  E(turnCount, "turn-count")              /* fused segmentation found another number; position = that number */        \
  E(outOfMemory, "out-of-memory")                                                                                      \
  E(deviceError, "device-error") /* position = the error code of the device's runtime */                               \
  E(deviceLost, "device-lost")   /* an earlier error broke the device's context; position = its code */
TURNWISE_ENUM(StatusCode, TURNWISE_STATUS_CODE)

#define TURNWISE_SEGMENT_BY(E)                                                                                         \
  E(turnIds, "turn-ids") E(actionMask, "action-mask") E(delimiters, "delimiters") E(spans, "spans")
TURNWISE_ENUM(SegmentBy, TURNWISE_SEGMENT_BY)

#define TURNWISE_UNCLOSED(E) E(fail, "throw") E(end, "end")
TURNWISE_ENUM(Unclosed, TURNWISE_UNCLOSED)

#define TURNWISE_NON_FINITE(E) E(fail, "throw") E(checkFirst, "check-first") E(propagate, "propagate")
TURNWISE_ENUM(NonFinite, TURNWISE_NON_FINITE)

// What a value belongs to: a loss token, a turn, or a whole trajectory.
#define TURNWISE_LEVEL(E) E(token, "token") E(turn, "turn") E(sequence, "sequence")
TURNWISE_ENUM(Level, TURNWISE_LEVEL)

// ---- Credit assignment (phase A), in the order of the stages.

#define TURNWISE_PLACE(E) E(last, "last") E(every, "every")
TURNWISE_ENUM(Place, TURNWISE_PLACE)

#define TURNWISE_ACCUMULATE(E) E(none, "none") E(discounted, "discounted") E(gae, "gae") E(tree, "tree")
TURNWISE_ENUM(Accumulate, TURNWISE_ACCUMULATE)

#define TURNWISE_BOOTSTRAP(E) E(zero, "zero") E(outcome, "outcome") E(carry, "carry") E(given, "given")
TURNWISE_ENUM(Bootstrap, TURNWISE_BOOTSTRAP)

#define TURNWISE_OBSERVATION(E) E(skip, "skip") E(reset, "reset")
TURNWISE_ENUM(Observation, TURNWISE_OBSERVATION)

#define TURNWISE_TREE_BACKUP(E) E(childMean, "child-mean") E(childSoftmax, "child-softmax") E(leafMean, "leaf-mean")
TURNWISE_ENUM(TreeBackup, TURNWISE_TREE_BACKUP)

#define TURNWISE_TREE_BASELINE(E) E(none, "none") E(parent, "parent") E(root, "root")
TURNWISE_ENUM(TreeBaseline, TURNWISE_TREE_BASELINE)

#define TURNWISE_GROUP_BY(E)                                                                                           \
  E(batch, "batch") E(prompt, "prompt") E(promptTurn, "prompt-turn") E(promptKey, "prompt-key") E(parent, "parent")
TURNWISE_ENUM(GroupBy, TURNWISE_GROUP_BY)

#define TURNWISE_MEMBERS(E) E(all, "all") E(first, "first")
TURNWISE_ENUM(Members, TURNWISE_MEMBERS)

#define TURNWISE_SINGLETON(E) E(zero, "zero") E(raw, "raw") E(fail, "throw")
TURNWISE_ENUM(Singleton, TURNWISE_SINGLETON)

#define TURNWISE_TRANSFORM(E) E(none, "none") E(rankGauss, "rank-gauss")
TURNWISE_ENUM(Transform, TURNWISE_TRANSFORM)

#define TURNWISE_CENTER(E)                                                                                             \
  E(none, "none")                                                                                                      \
  E(mean, "mean")                                                                                                      \
  E(leaveOneOut, "leave-one-out") E(median, "median") E(lengthWeighted, "length-weighted") E(given, "given")
TURNWISE_ENUM(Center, TURNWISE_CENTER)

#define TURNWISE_SCALE(E) E(none, "none") E(std, "std") E(batchStd, "batch-std")
TURNWISE_ENUM(Scale, TURNWISE_SCALE)

#define TURNWISE_THEN(E) E(none, "none") E(discounted, "discounted") E(tree, "tree")
TURNWISE_ENUM(Then, TURNWISE_THEN)

#define TURNWISE_DIVIDE(E) E(none, "none") E(sqrtTerms, "sqrt-terms")
TURNWISE_ENUM(Divide, TURNWISE_DIVIDE)

#define TURNWISE_CHANNEL_USE(E) E(advantage, "advantage") E(ratioTarget, "ratio-target")
TURNWISE_ENUM(ChannelUse, TURNWISE_CHANNEL_USE)

#define TURNWISE_COMBINE(E) E(sum, "sum") E(join, "join") E(weightedMean, "weighted-mean")
TURNWISE_ENUM(Combine, TURNWISE_COMBINE)

#define TURNWISE_MODULATE(E) E(none, "none") E(entropy, "entropy")
TURNWISE_ENUM(Modulate, TURNWISE_MODULATE)

#define TURNWISE_WHITEN_KIND(E) E(none, "none") E(center, "center") E(standardize, "standardize")
TURNWISE_ENUM(WhitenKind, TURNWISE_WHITEN_KIND)

// ---- Loss (phase B), in the order of the stages.

#define TURNWISE_RATIO_FORM(E) E(straightThrough, "straight-through") E(trueMean, "true")
TURNWISE_ENUM(RatioForm, TURNWISE_RATIO_FORM)

#define TURNWISE_REDUCE(E) E(mean, "mean") E(sum, "sum") E(max, "max")
TURNWISE_ENUM(Reduce, TURNWISE_REDUCE)

#define TURNWISE_GATE_KIND(E)                                                                                          \
  E(ppo, "ppo")                                                                                                        \
  E(detached, "detached")                                                                                              \
  E(gamma, "gamma")                                                                                                    \
  E(gradPreserving, "grad-preserving")                                                                                 \
  E(sigmoid, "sigmoid") E(quadratic, "quadratic") E(l1Target, "l1-target") E(mask, "mask") E(logSumExp, "log-sum-exp")
TURNWISE_ENUM(GateKind, TURNWISE_GATE_KIND)

#define TURNWISE_SIDE(E) E(both, "both") E(low, "low") E(high, "high")
TURNWISE_ENUM(Side, TURNWISE_SIDE)

#define TURNWISE_MEASURE(E)                                                                                            \
  E(ratio, "ratio") E(logRatio, "log-ratio") E(probability, "probability") E(bernoulliKl, "bernoulli-kl")
TURNWISE_ENUM(Measure, TURNWISE_MEASURE)

#define TURNWISE_WEIGHT_KIND(E)                                                                                        \
  E(importance, "importance") E(reject, "reject") E(given, "given") E(offPolicyMask, "off-policy-mask")
TURNWISE_ENUM(WeightKind, TURNWISE_WEIGHT_KIND)

#define TURNWISE_WEIGHT_MODE(E) E(truncate, "truncate") E(mask, "mask")
TURNWISE_ENUM(WeightMode, TURNWISE_WEIGHT_MODE)

#define TURNWISE_KL_ESTIMATOR(E) E(k1, "k1") E(k2, "k2") E(k3, "k3") E(abs, "abs")
TURNWISE_ENUM(KlEstimator, TURNWISE_KL_ESTIMATOR)

#define TURNWISE_KL_GRADIENT(E) E(own, "own") E(k2, "k2")
TURNWISE_ENUM(KlGradient, TURNWISE_KL_GRADIENT)

#define TURNWISE_AGGREGATE(E)                                                                                          \
  E(tokenMean, "token-mean")                                                                                           \
  E(seqMeanTokenMean, "seq-mean-token-mean")                                                                           \
  E(seqMeanTokenSum, "seq-mean-token-sum")                                                                             \
  E(seqMeanTokenSumNorm, "seq-mean-token-sum-norm")                                                                    \
  E(turnMeanTokenMean, "turn-mean-token-mean") E(tokenSum, "token-sum") E(promptMean, "prompt-mean")
TURNWISE_ENUM(Aggregate, TURNWISE_AGGREGATE)

// ---- Results.

/// Slots of `Surrogate::metrics`. Sums, counts and extrema over loss tokens, so that any consumer can form the means.
#define TURNWISE_METRIC(E)                                                                                             \
  E(lossNumerator, "lossNumerator") /* sum of weighted terms; loss = numerator / denominator */                        \
  E(lossDenominator, "lossDenominator")                                                                                \
  E(policyNumerator, "policyNumerator")   /* the surrogate's part of lossNumerator */                                  \
  E(klNumerator, "klNumerator")           /* the KL term's part (already times its coefficient) */                     \
  E(entropyNumerator, "entropyNumerator") /* the entropy bonus's part (already times minus its coefficient) */         \
  E(tokens, "tokens")                     /* loss tokens of this batch */                                              \
  E(clippedLow, "clippedLow")             /* tokens whose gate's lower bound is active */                              \
  E(clippedHigh, "clippedHigh")           /* tokens whose gate's upper bound is active */                              \
  E(clippedDual, "clippedDual")           /* tokens where dual clip is active */                                       \
  E(clampedLogRatio, "clampedLogRatio")   /* tokens whose log-ratio hit ratio.clamp */                                 \
  E(clampedKl, "clampedKl")               /* tokens whose KL hit kl.logRatioClamp or kl.valueClamp */                  \
  E(masked, "masked")                     /* tokens that a mask (gate or weight) took out: their factor is 0 */        \
  E(truncatedWeights, "truncatedWeights") /* tokens whose importance weight was cut */                                 \
  E(ratioSum, "ratioSum")                                                                                              \
  E(ratioSquareSum, "ratioSquareSum")                                                                                  \
  E(ratioMin, "ratioMin")   /* +inf when there is no loss token */                                                     \
  E(ratioMax, "ratioMax")   /* -inf when there is no loss token */                                                     \
  E(weightSum, "weightSum") /* of the product of a token's weights; 1 without weights */                               \
  E(weightSquareSum, "weightSquareSum")                                                                                \
  E(weightMin, "weightMin")                                                                                            \
  E(weightMax, "weightMax")                                                                                            \
  E(oldKlK1Sum, "oldKlK1Sum") /* sum of old - current, per token */                                                    \
  E(oldKlK3Sum, "oldKlK3Sum") /* sum of exp(x) - 1 - x, x = current - old, per token */                                \
  E(klSum, "klSum")           /* sum of the KL estimator's value to refLogProbs */                                     \
  E(entropySum, "entropySum")                                                                                          \
  E(nonFinite, "nonFinite")                   /* loss tokens with a non-finite log-prob (propagate) */                 \
  E(largestCoefficient, "largestCoefficient") /* of |dLoss/dLogProb|; 0 when there is no loss token */
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

}  // namespace turnwise
