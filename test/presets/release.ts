/** Vectors of public releases (test/golden/releases) in the packed layout, and their runs through the public API. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import {
  type Credit,
  type Device,
  type Estimator,
  estimateAdvantages,
  type LogProbsBatch,
  policyLossSync,
  segmentTurns,
} from '../../lib/index.js';
import { deviation } from '../support/numbers.js';

type Matrix = readonly (readonly number[])[];

export interface ReleaseCase {
  loss: number;
  dLogProbs: Matrix;
  advantages?: Matrix | string;
  rowAdvantages?: readonly number[];
  old: string;
  logProbs: string;
}

export interface Release {
  /** B trajectories of T positions, one behind another; padding lies outside every turn. */
  trajectoryOffsets: Int32Array;
  actionMask: Uint8Array;
  turnIds: Int32Array;
  groups: Int32Array;
  inputs: Readonly<Record<string, unknown>>;
  cases: Readonly<Record<string, ReleaseCase>>;
  /** [B][T] or [B] input as one value per position, 0 outside the loss for [B]. */
  tokens(name: string): Float64Array;
  rows(name: string): number[];
}

export function loadRelease(name: string): Release {
  const file = JSON.parse(readFileSync(new URL(`../golden/releases/${name}.json`, import.meta.url), 'utf8'));
  const { inputs, cases } = file;
  const [b, t] = [inputs.B as number, inputs.T as number];
  const actionMask = Uint8Array.from((inputs.mask as number[][]).flat());
  return {
    trajectoryOffsets: Int32Array.from({ length: b + 1 }, (_, m) => m * t),
    actionMask,
    turnIds: Int32Array.from((inputs.turn as number[][]).flat()),
    groups: Int32Array.from(inputs.group ?? new Array(b).fill(0)),
    inputs,
    cases,
    tokens: (input) => {
      const values = inputs[input] as number[] | Matrix;
      return Array.isArray(values[0])
        ? Float64Array.from((values as Matrix).flat())
        : Float64Array.from(actionMask, (loss, n) => (loss === 1 ? (values as number[])[Math.floor(n / t)] : 0));
    },
    rows: (input) => inputs[input] as number[],
  };
}

/** Advantages per position, 0 outside the loss. */
export function perToken(
  { level, advantages }: Credit,
  { actionMask, trajectoryOffsets, turnIds }: Pick<Release, 'actionMask' | 'trajectoryOffsets' | 'turnIds'>,
): Float64Array {
  let next = 0;
  // Per token, credit holds the loss tokens alone.
  if (level === 'token') return Float64Array.from(actionMask, (loss) => (loss === 1 ? advantages[next++] : 0));
  const turns = segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device: 'reference' });
  const tokens = new Float64Array(actionMask.length);
  advantages.forEach((value, k) => {
    for (let n = turns.starts[k]; n < turns.ends[k]; n++) if (actionMask[n] === 1) tokens[n] = value;
  });
  return tokens;
}

/** What the release returned for a case of advantages, per position. */
export function expectedAdvantages(release: Release, name: string): Float64Array {
  const { advantages, rowAdvantages } = release.cases[name];
  if (rowAdvantages === undefined) return Float64Array.from((advantages as Matrix).flat());
  const width = release.trajectoryOffsets[1];
  return Float64Array.from(release.actionMask, (loss, n) => (loss === 1 ? rowAdvantages[Math.floor(n / width)] : 0));
}

type Signals = Omit<Parameters<typeof estimateAdvantages>[0], 'turns' | 'trajectoryOffsets' | 'actionMask' | 'groups'>;

export function creditOf(release: Release, signals: Signals, estimator: Estimator, device: Device): Credit {
  const { trajectoryOffsets, turnIds, actionMask, groups } = release;
  const turns = segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device });
  return estimateAdvantages({ turns, trajectoryOffsets, actionMask, groups, ...signals }, estimator, { device });
}

export function expectAdvantages(
  [release, name]: [Release, string],
  signals: Signals,
  estimator: Estimator,
  device: Device,
  tolerance = 1e-12,
): void {
  const actual = perToken(creditOf(release, signals, estimator, device), release);
  expect(deviation(actual, expectedAdvantages(release, name)), name).toBeLessThan(tolerance);
}

/** A batch of the release's log-probs with the advantages of the case. */
export function lossBatch(release: Release, name: string, more: object = {}): LogProbsBatch {
  const found = release.cases[name];
  const { trajectoryOffsets, turnIds, actionMask } = release;
  return {
    logProbs: Float32Array.from(release.tokens(found.logProbs)),
    oldLogProbs: Float32Array.from(release.tokens(found.old)),
    turns: segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device: 'reference' }),
    trajectoryOffsets,
    actionMask,
    advantages: release.tokens(found.advantages as string),
    advantageLevel: 'token',
    ...more,
  };
}

/** Half a unit in the last place of float32, in which gradients are returned. */
const HALF_ULP = 6e-8;

/** Loss and gradient; `tolerance` is of the loss's scale and of each element of the gradient, beside float32. */
export function expectLoss(
  [release, name]: [Release, string],
  estimator: Estimator,
  device: Device,
  { tolerance = 1e-12, more = {} }: { tolerance?: number; more?: object } = {},
): void {
  const { loss, grad, metrics } = policyLossSync(lossBatch(release, name, more), estimator, { device });
  const expected = release.cases[name];
  const gradient = expected.dLogProbs.flat();
  const scale = Math.max(Math.abs(expected.loss), metrics.tokens * Math.max(...gradient.map(Math.abs)));
  expect(Math.abs(loss - expected.loss), `${name}: loss ${loss}, ${expected.loss}`).toBeLessThan(tolerance * scale);
  const largest = Math.max(...gradient.map(Math.abs));
  gradient.forEach((value, n) => {
    const bound = (HALF_ULP + tolerance) * Math.abs(value) + 1e-15 * largest;
    expect(
      Math.abs(grad.logProbs[n] - value),
      `${name}: gradient[${n}] ${grad.logProbs[n]}, ${value}`,
    ).toBeLessThanOrEqual(bound);
  });
}
