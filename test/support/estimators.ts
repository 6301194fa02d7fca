/** Estimators for tests that must hold for every one. */
import { a2tgpo, type Estimator, type EstimatorInput, estimator, grpo } from '../../lib/index.js';

export const RATIOS: Record<string, NonNullable<EstimatorInput['ratio']>> = {
  token: { level: 'token' },
  'turn, straight-through': { level: 'turn', form: 'straight-through' },
  'turn, true': { level: 'turn', form: 'true' },
  'sequence, straight-through': { level: 'sequence', form: 'straight-through' },
  'sequence, true': { level: 'sequence', form: 'true' },
};

export const AGGREGATES: readonly Estimator['aggregate'][] = [
  'token-mean',
  'token-sum',
  'seq-mean-token-mean',
  'seq-mean-token-sum',
  'turn-mean-token-mean',
  { kind: 'seq-mean-token-sum-norm', horizon: 9 },
];

/** A²TGPO's credit under another loss: groups, gains, adaptive clip range, every level. */
export function variant(change: Partial<EstimatorInput>): Estimator {
  return estimator({ ...a2tgpo({ clip: [0.1, 0.15] }), name: 'variant', ...change });
}

export const ESTIMATORS: Record<string, Estimator> = {
  a2tgpo: a2tgpo(),
  'a2tgpo turn-group': a2tgpo({ mode: 'turn-group', gamma: 0.9 }),
  'a2tgpo separate': a2tgpo({ mode: 'separate', gamma: 0.9, aggregate: 'turn-mean-token-mean' }),
  'a2tgpo joint': a2tgpo({ mode: 'joint', aggregate: 'seq-mean-token-mean' }),
  'a2tgpo true mean': variant({ ratio: RATIOS['turn, true'] }),
  'sequence level': variant({ ratio: RATIOS['sequence, true'], aggregate: 'seq-mean-token-sum' }),
  'token level': variant({ ratio: RATIOS.token, aggregate: { kind: 'seq-mean-token-sum-norm', horizon: 5 } }),
};

/** GRPO reads no information gain, so it takes another batch. */
export const GRPO: Estimator = grpo({ dual: 3, aggregate: 'token-mean', kl: { coef: 0.04, estimator: 'k3' } });
