/**
 * Normalisation inside one group: mean, standard deviation, group of one, group without variance. Float64 and an exact
 * test for equal members, because the float32 mean of seven rewards 0.35 is not 0.35, and eps = 1e-6 makes an advantage
 * of 0.03 of the rest.
 */
import type { ChannelArgs } from '../../ops.js';
import { reproducibleSum } from './reproducible_sum.js';

/** How a group is normalised; the fields of a channel with the same names. */
export type NormalizeOptions = Pick<ChannelArgs, 'singleton' | 'center' | 'scale' | 'ddof' | 'eps' | 'varianceFloor'>;

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
 * @param values members x [n], n > ddof
 * @param ddof 0 population, 1 sample variance
 */
export function groupMoments(values: Float64Array, ddof: number): GroupMoments {
  const n = values.length;
  if (values.every((x) => x === values[0])) return { mean: values[0], variance: 0, allEqual: true };
  const mean = reproducibleSum(n, (i) => values[i]) / n;
  const variance = reproducibleSum(n, (i) => (values[i] - mean) ** 2) / (n - ddof);
  return { mean, variance, allEqual: false };
}

/**
 * Normalised members of one group.
 *
 *   zᵢ = (xᵢ - μ) / (√(v + floor) + eps)         center 'mean', scale 'std'
 *   n = 1: z = 0 ('zero') or z = x ('raw');      all members equal and center 'mean': z = 0 exactly
 *
 * Center 'none' leaves out μ in the numerator, scale 'none' the denominator.
 *
 * Source: GRPO, arXiv 2402.03300 (ddof 1, eps 1e-6 in verl core_algos.compute_grpo_outcome_advantage, singleton raw);
 * Dr.GRPO, arXiv 2503.20783 (scale none); A²TGPO, arXiv 2605.06200 (ddof 0, floor 1e-8, eps 1e-6, singleton zero in its
 * release).
 *
 * @param values members x [n], n ≥ 1
 * @returns z [n]
 */
export function normalizeGroup(values: Float64Array, options: NormalizeOptions): Float64Array {
  if (values.length === 1) return options.singleton === 'raw' ? values.slice() : new Float64Array(1);
  const { mean, variance, allEqual } = groupMoments(values, options.ddof);
  if (allEqual && options.center === 'mean') return new Float64Array(values.length);
  const shift = options.center === 'mean' ? mean : 0;
  const divisor = options.scale === 'std' ? Math.sqrt(variance + options.varianceFloor) + options.eps : 1;
  // A spread beyond float64 would silently make every member 0. Infinity is seen by whoever checks the result (NaN would mean
  // "no signal").
  return values.map((x) => (Number.isFinite(divisor) ? (x - shift) / divisor : divisor));
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
