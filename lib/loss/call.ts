/** What a loss call from logits and one from log-probs have in common. */
import { type GroupStats, groupStats } from '../credit/turn_statistics.js';
import { turnsArgs } from '../data/layout.js';
import { InvalidInputError } from '../errors.js';
import { lossPlan } from '../estimator/plan.js';
import type { Estimator } from '../estimator/types.js';
import { type Backend, METRIC_SLOTS, type NonFinite, type SurrogateArgs } from '../ops.js';
import { type Column, onHost, operand, operandOrNull, write } from '../tensor/column.js';
import type { DType, FloatDType } from '../tensor/dtype.js';
import type { Workspace } from '../tensor/workspace.js';
import type { Batch } from './batch.js';
import { keep } from './logits.js';
import type { Metrics } from './metrics.js';

export interface Call {
  estimator: Estimator;
  backend: Backend;
  memory: Workspace;
  nonFinite: NonFinite;
  signal: AbortSignal | null;
  gradScale: number;
  asynchronous: boolean;
}

/** The arrays of the loss. */
export interface LossColumns {
  logProbs: Column<'f32'>;
  oldLogProbs: Column<'f32'>;
  refLogProbs: Column<'f32'> | null;
  rolloutLogProbs: Column<'f32'> | null;
  tokenWeights: Column<'f64'> | null;
  /** [N] dLoss/dLogProb, a result. */
  coefficients: Column<'f64'>;
}

export function lossColumns(batch: Batch, logProbs: Column<'f32'>, call: Call): LossColumns {
  const { estimator, asynchronous, memory } = call;
  const { denominator, oldLogProbs, rolloutLogProbs, refLogProbs, tokenWeights } = batch.given;
  const kept = <D extends DType>(column: Column<D> | null) => column && keep(column, asynchronous);
  const compared = denominator === 'oldLogProbs' ? oldLogProbs : rolloutLogProbs;
  return {
    logProbs,
    oldLogProbs: keep(compared!, asynchronous),
    refLogProbs: estimator.kl === null ? null : kept(refLogProbs),
    rolloutLogProbs: denominator === 'oldLogProbs' ? kept(rolloutLogProbs) : null,
    tokenWeights: kept(tokenWeights),
    coefficients: memory.scratch('f64', batch.tokens),
  };
}

export function surrogateArgs({ turns, actionMask, credit }: Batch, columns: LossColumns, call: Call): SurrogateArgs {
  return {
    logProbs: operand(columns.logProbs),
    oldLogProbs: operand(columns.oldLogProbs),
    refLogProbs: operandOrNull(columns.refLogProbs),
    rolloutLogProbs: operandOrNull(columns.rolloutLogProbs),
    entropy: null,
    tokenWeights: operandOrNull(columns.tokenWeights),
    actionMask: operand(actionMask),
    turns: turnsArgs(turns),
    groups: operandOrNull(credit.groups),
    advantageLevel: credit.level,
    advantages: operand(credit.advantages),
    clipScale: operandOrNull(credit.clipScale),
    ratioTargets: operandOrNull(credit.ratioTargets),
    ...lossPlan(call.estimator),
    denominators: credit.denominators && { ...credit.denominators },
    nonFinite: call.nonFinite,
    coefficients: operand(columns.coefficients),
    entropyCoefficients: null,
    metrics: new Float64Array(METRIC_SLOTS.length),
  };
}

/** The float inputs of the loss, under the names that the caller knows them by. */
export function namedInputs({ given }: Batch, columns: LossColumns) {
  const { logProbs, refLogProbs, rolloutLogProbs, tokenWeights } = columns;
  return { logProbs, refLogProbs, rolloutLogProbs, tokenWeights, [given.denominator]: columns.oldLogProbs };
}

export function groupsOf({ credit }: Batch, { estimator }: Call): readonly GroupStats[] | null {
  return credit.statistics ? groupStats(credit.statistics, estimator) : credit.groupStats;
}

/** A loss over 0 of anything is 0, not NaN. Inputs were finite, so a loss that is not has overflowed: an estimator without clamps. */
export function lossOf({ lossNumerator, lossDenominator }: Metrics, { nonFinite }: Call, hint = ''): number {
  const loss = lossDenominator === 0 ? 0 : lossNumerator / lossDenominator;
  if (Number.isFinite(loss) || nonFinite === 'propagate') return loss;
  throw new InvalidInputError({
    code: 'ERR_NON_FINITE',
    path: 'loss',
    expected: 'a finite loss',
    received: String(loss),
    hint: `A ratio, KL term or advantage overflowed: see ratio.clamp and kl.logRatioClamp of the estimator${hint}`,
  });
}

const LARGEST = { f32: 3.4028234e38, bf16: 3.3895e38, f16: 65504 };

interface Gradient {
  coefficients: Column<'f64'>;
  factor: number;
  dtype: FloatDType;
  path: string;
  hint?: string;
}

/**
 * Every element of a row's gradient is at most |coefficient * factor|; beyond the dtype it would be infinite or NaN.
 *
 * @param args of the op that has run
 */
export function checkGradient({ metrics }: SurrogateArgs, gradient: Gradient, { nonFinite }: Call): void {
  const { coefficients, factor, dtype, path, hint = '' } = gradient;
  const fits = (coefficient: number) => Math.abs(coefficient * factor) <= LARGEST[dtype];
  if (nonFinite === 'propagate' || fits(metrics[METRIC_SLOTS.indexOf('largestCoefficient')])) return;
  const values = onHost(coefficients);
  const at = values.findIndex((coefficient) => !fits(coefficient));
  throw new InvalidInputError({
    code: 'ERR_NON_FINITE',
    path: `${path}[${at}]`,
    expected: `a gradient within ${dtype}`,
    received: `up to ${Math.abs(values[at] * factor)}`,
    hint: `gradScale is too large, or temperature too small, for this loss${hint}`,
  });
}

/** Into `target`, where that is. */
export function writeScaled(target: Column<'f32'>, coefficients: Column<'f64'>, factor: number): Column<'f32'> {
  write(
    target,
    Float32Array.from(onHost(coefficients), (coefficient) => coefficient * factor),
  );
  return target;
}
