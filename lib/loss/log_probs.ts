/** The log-probs of a batch besides the current ones: which an estimator asks for, and in which role. */
import { finiteTokens, float32, float64, type Reals } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import type { Fields } from '../check/fields.js';
import type { RolloutLogProbs } from '../credit/signals.js';
import { InvalidInputError } from '../errors.js';
import { readsRollout } from '../estimator/stages/weights.js';
import type { Estimator } from '../estimator/types.js';
import { type Column, isOnHost, type OnDevice, readColumn } from '../tensor/column.js';
import type { TensorDevice } from '../tensor/tensor.js';

export interface TokenArrays<At extends TensorDevice = 'cpu'> {
  /** [N] log-probs at the start of the update: the ratio's denominator (unless that is 'rollout'). */
  oldLogProbs?: Float32Array | OnDevice<'f32', At> | undefined;
  /** [N] log-probs as the sampler reported them; where the estimator's ratio or weights ask for them. */
  rolloutLogProbs?: Float32Array | OnDevice<'f32', At> | undefined;
  /** [N] reference of the KL term; given if and only if the estimator has one. */
  refLogProbs?: Float32Array | OnDevice<'f32', At> | undefined;
  /** [N] factors of the tokens' surrogate terms, where the estimator has the weight 'given'. */
  tokenWeights?: Reals | OnDevice<'f64', At> | undefined;
}

export interface LogProbs {
  /** The array that is the ratio's denominator. */
  denominator: 'oldLogProbs' | 'rolloutLogProbs';
  /** What the batch holds; null where the estimator asks for none. */
  oldLogProbs: Column<'f32'> | null;
  rolloutLogProbs: Column<'f32'> | null;
  refLogProbs: Column<'f32'> | null;
  tokenWeights: Column<'f64'> | null;
}

/** @param raw whether credit is assigned from raw signals in this call (and may penalise the KL divergence in the reward) */
export function readLogProbs(
  fields: Fields,
  estimator: Estimator,
  tokens: number,
  raw: boolean,
  at: TensorDevice,
): LogProbs {
  const { ratio, weights, kl, channels, name } = estimator;
  const corrects = weights.some(readsRollout);
  const penalised = raw && channels.some(({ signal }) => signal.klPenalty !== undefined);
  const read = (path: keyof TokenArrays, reason: string | false | undefined): unknown => {
    if (reason)
      return fields.required(path, `${path === 'tokenWeights' ? 'numbers' : 'a Float32Array'} [N]: ${reason}`);
    const value = fields.take(path);
    if (value === undefined) return undefined;
    const expected = `no ${path}: the estimator "${name}" ${UNUSED[path]}`;
    throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path, expected, received: describe(value) });
  };
  const logProbs = (path: Exclude<keyof TokenArrays, 'tokenWeights'>, reason: string | false | undefined) => {
    const value = read(path, reason);
    if (value === undefined) return null;
    const wanted = { dtype: 'f32', shape: '[N]', length: tokens, at } as const;
    return readColumn(value, path, wanted, () => float32(value, path, '[N]', tokens));
  };
  const because = `the estimator "${name}"`;
  const old = ratio.denominator === 'old' ? `${because} compares with them` : undefined;
  const sampled = ratio.denominator === 'rollout' ? `${because} compares with them` : undefined;
  const corrected = corrects && `${because} corrects for the sampler`;
  const penalty = penalised && `${because} penalises the KL divergence in the reward`;
  const term = kl !== null && `${because} has a KL term`;
  const given = weights.some(({ kind }) => kind === 'given') && `${because} has the weight "given"`;
  const oldLogProbs = logProbs('oldLogProbs', old || corrected || penalty);
  const refLogProbs = logProbs('refLogProbs', term || penalty);
  const rolloutLogProbs = logProbs('rolloutLogProbs', sampled || corrected);
  const rawWeights = read('tokenWeights', given);
  const tokenWeights =
    rawWeights === undefined
      ? null
      : readColumn(rawWeights, 'tokenWeights', { dtype: 'f64', shape: '[N]', length: tokens, at }, () =>
          float64(rawWeights, 'tokenWeights', '[N]', tokens),
        );
  const denominator = ratio.denominator === 'old' ? 'oldLogProbs' : 'rolloutLogProbs';
  return { denominator, oldLogProbs, refLogProbs, rolloutLogProbs, tokenWeights };
}

const UNUSED: Readonly<Record<keyof TokenArrays, string>> = {
  oldLogProbs: 'does not compare with them',
  rolloutLogProbs: 'neither compares with them nor corrects for them',
  refLogProbs: 'has no KL term',
  tokenWeights: 'has no weight "given"',
};

/** Every loss token's value is finite, in the arrays that can be looked at. */
export function checkFiniteLogProbs(given: LogProbs, current: Column<'f32'> | null, actionMask: Uint8Array): void {
  const { oldLogProbs, refLogProbs, rolloutLogProbs, tokenWeights } = given;
  const all = { oldLogProbs, refLogProbs, rolloutLogProbs, logProbs: current };
  for (const [path, values] of Object.entries(all)) {
    if (values && isOnHost(values)) finiteTokens(values, path, actionMask);
  }
  if (tokenWeights === null || !isOnHost(tokenWeights)) return;
  const at = tokenWeights.findIndex((weight, n) => actionMask[n] === 1 && !Number.isFinite(weight));
  if (at < 0) return;
  const received = String(tokenWeights[at]);
  throw new InvalidInputError({
    code: 'ERR_NON_FINITE',
    path: `tokenWeights[${at}]`,
    expected: 'a finite number',
    received,
  });
}

/** Those that credit may be assigned from. */
export function rolloutLogProbs({ oldLogProbs, refLogProbs }: LogProbs): RolloutLogProbs {
  return { oldLogProbs: oldLogProbs ?? undefined, refLogProbs: refLogProbs ?? undefined };
}
