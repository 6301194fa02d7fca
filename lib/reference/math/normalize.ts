/**
 * Normalisation inside one group: centre, standard deviation, group of one, group without variance. Float64 and an
 * exact test for equal members, because the float32 mean of seven rewards 0.35 is not 0.35, and eps = 1e-6 makes an
 * advantage of 0.03 of the rest.
 */
import type { Center, ChannelArgs } from '../../ops.js';
import { reproducibleSum } from './reproducible_sum.js';
import { weightedMoments } from './weighted_moments.js';

/** How a group is normalised; the fields of a channel with the same names. */
export type NormalizeOptions = Pick<ChannelArgs, 'singleton' | 'center' | 'scale' | 'ddof' | 'eps' | 'varianceFloor'> &
  Partial<Pick<ChannelArgs, 'leastStd'>>;

/** What the normalisation of a group reads beside its values. */
export interface GroupContext {
  /** The values that the statistics are over; absent: all values. */
  members?: Float64Array;
  /** Loss tokens of each member; center length-weighted. */
  weights?: Float64Array;
  /** Like the values; center given. */
  baselines?: Float64Array;
  /** Variance over the whole batch; scale batch-std. */
  batchVariance?: number;
}

export interface GroupMoments {
  mean: number;
  variance: number;
  /** Smallest = largest member. It is then the mean, and the variance exactly 0, not the rounding error of sum / n. */
  allEqual: boolean;
}

/**
 * Mean and variance of a group, independent of the order of its members.
 *
 *   μ = Σxᵢ / n,   v = Σ(xᵢ - μ)² / (n - ddof)
 *
 * @param values members x [n]; fewer than two count as equal
 * @param ddof 0 population, 1 sample variance
 */
export function groupMoments(values: Float64Array, ddof: number): GroupMoments {
  const n = values.length;
  if (values.every((x) => x === values[0])) return { mean: values[0], variance: 0, allEqual: true };
  const mean = reproducibleSum(n, (i) => values[i]) / n;
  const variance = reproducibleSum(n, (i) => (values[i] - mean) ** 2) / (n - ddof);
  return { mean, variance, allEqual: false };
}

/** Centres made of the members, with which equal members are exactly 0. */
const CENTERS_OF_MEMBERS: readonly Center[] = ['mean', 'leave-one-out', 'median', 'length-weighted'];

/**
 * Normalised values of one group.
 *
 *   zᵢ = (xᵢ - c) / d,   d = (√v < leastStd ? 1 : √(v + floor)) + eps
 *   v = variance of the members (std) or of the batch (batch-std);   scale none: zᵢ = xᵢ - c
 *   n = 1: z = 0 ('zero') or z = x ('raw');      all members equal and c made of them: z = 0 exactly
 *
 * Source: GRPO, arXiv 2402.03300 (ddof 1, eps 1e-6 in verl core_algos.compute_grpo_outcome_advantage, singleton raw);
 * Dr.GRPO, arXiv 2503.20783 (scale none); A²TGPO, arXiv 2605.06200 (ddof 0, floor 1e-8, eps 1e-6, singleton zero in its
 * release); batch-std: TRL GRPOTrainer, scale_rewards 'batch'; leastStd 1e-6: SIOP release; members: IGPO release, whose
 * statistics are those of the first tokens.
 *
 * @param values x, all that is normalised by this group's statistics
 * @returns z, like the values
 */
export function normalizeGroup(
  values: Float64Array,
  options: NormalizeOptions,
  context: GroupContext = {},
): Float64Array {
  const normalized = normalizeFinite(values, options, context);
  // Of an infinite signal nothing is left to compare, and a NaN would mean "no signal": both stay to be seen.
  return values.map((x, i) => (Number.isFinite(x) ? (Number.isNaN(normalized[i]) ? Infinity : normalized[i]) : x));
}

function normalizeFinite(values: Float64Array, options: NormalizeOptions, context: GroupContext): Float64Array {
  const members = context.members ?? values;
  if (members.length === 1) return aloneInGroup(values, members, options, context);
  const { mean, variance, allEqual } = groupMoments(members, options.ddof);
  if (allEqual && CENTERS_OF_MEMBERS.includes(options.center)) {
    // Equal members have no spread to measure others by: those keep their distance where it is not divided, or leastStd stands for the spread.
    const divisor = options.scale === 'none' ? 1 : (options.leastStd ?? 0) > 0 ? divisorOf(0, options) : null;
    return values.map((x) => (divisor === null ? 0 : quotient(x - members[0], divisor)));
  }
  const shifted = subtractCenter(values, members, mean, options.center, context);
  if (options.scale === 'none') return shifted;
  const divisor = divisorOf(options.scale === 'std' ? variance : (context.batchVariance ?? 0), options);
  return shifted.map((x) => quotient(x, divisor));
}

/**
 * A group of one: the distance from its member (0, where that is all there is to normalise), or the raw value. A given baseline compares with nobody,
 * so it is taken off all the same.
 */
function aloneInGroup(
  values: Float64Array,
  members: Float64Array,
  { singleton, center }: NormalizeOptions,
  context: GroupContext,
): Float64Array {
  if (singleton !== 'raw') return values.map((x) => x - members[0]);
  return subtractCenter(values, members, 0, center === 'given' ? center : 'none', context);
}

/**
 * Values minus the centre of their group.
 *
 *   leave-one-out: x - mean of the others = (x - μ) n / (n - 1);   length-weighted: x - Σwᵢxᵢ / Σwᵢ
 *
 * Source: RLOO, arXiv 2402.14740; OPO, arXiv 2505.23585 (length-weighted); GBPO release (median).
 */
function subtractCenter(
  values: Float64Array,
  members: Float64Array,
  mean: number,
  center: Center,
  { weights, baselines }: GroupContext,
): Float64Array {
  const n = members.length;
  switch (center) {
    case 'none':
      return values.slice();
    case 'mean':
      return values.map((x) => x - mean);
    case 'leave-one-out':
      return values.map((x) => ((x - mean) * n) / (n - 1));
    case 'median': {
      const median = medianOf(members);
      return values.map((x) => x - median);
    }
    case 'length-weighted': {
      const weighted = lengthWeightedMean(members, weights ?? new Float64Array(n), mean);
      return values.map((x) => x - weighted);
    }
    case 'given':
      return values.map((x, i) => x - (baselines?.[i] ?? 0));
  }
}

/** The middle value, or the mean of the two middle ones; halved first, as the sum of two finite values may not be finite. */
function medianOf(values: Float64Array): number {
  const sorted = values.slice().sort();
  const upper = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[upper] : sorted[upper - 1] / 2 + sorted[upper] / 2;
}

/** Σwx / Σw; the plain mean where nothing has weight. */
function lengthWeightedMean(values: Float64Array, weights: Float64Array, mean: number): number {
  const weighted = weightedMoments(values, weights, 0);
  return weighted.total === 0 ? mean : weighted.mean;
}

/** What a centred value is divided by. A standard deviation below leastStd counts as 1. */
export function divisorOf(
  variance: number,
  { leastStd = 0, varianceFloor, eps }: Pick<NormalizeOptions, 'leastStd' | 'varianceFloor' | 'eps'>,
): number {
  return (Math.sqrt(variance) < leastStd ? 1 : Math.sqrt(variance + varianceFloor)) + eps;
}

/**
 * x / divisor. A spread beyond float64 would silently make every value 0: infinity is seen by whoever checks the result
 * (NaN would mean "no signal"). Without any spread 0 stays 0.
 */
export function quotient(x: number, divisor: number): number {
  if (!Number.isFinite(divisor)) return Number.POSITIVE_INFINITY;
  if (divisor !== 0) return x / divisor;
  return x === 0 ? 0 : Number.POSITIVE_INFINITY;
}

/**
 * Population standard deviation of a whole batch, at least `floor`; 1 for fewer than two values.
 *
 *   sd = max(√(Σ(xᵢ - μ)² / n), floor)
 *
 * Source: A²TGPO release, turn-group mode: information gain is scaled by sd(outcome) / sd(information gain).
 *
 * @param values x [n]
 */
export function flooredStd(values: Float64Array, floor: number): number {
  return values.length < 2 ? 1 : Math.max(Math.sqrt(groupMoments(values, 0).variance), floor);
}
