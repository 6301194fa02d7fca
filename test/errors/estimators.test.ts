/** Wrong presets and estimators: an option that is unknown, out of range or without effect names its stage. */
import { describe } from 'vitest';
import { a2tgpo, estimator, grpo, policyLossSync } from '../../lib/index.js';
import { type Row, testErrors } from '../support/error_table.js';

const any = (value: unknown) => value as never;

describe('presets and estimators', () => {
  const base = a2tgpo();
  const make = (change: Record<string, unknown>) => () => estimator(any({ ...base, ...change }));
  const channel = (change: Record<string, unknown>) =>
    make({ gate: { kind: 'ppo', low: 0.1, high: 0.1 }, channels: [{ ...base.channels[0], ...change }] });
  const outcome = grpo().channels[0];
  const rows: Row[] = [
    [
      'cliprange for clip',
      () => a2tgpo(any({ cliprange: [1, 2] })),
      { code: 'ERR_UNKNOWN_OPTION', path: 'cliprange', received: 'unknown option "cliprange", did you mean "clip"?' },
    ],
    [
      'clip.low of 2',
      () => grpo({ clip: [2, 0.1] }),
      { code: 'ERR_RANGE', path: 'clip.low', expected: 'a number in [0, 1]', received: '2' },
    ],
    [
      'clip.high of -1',
      () => grpo({ clip: [0.1, -1] }),
      { code: 'ERR_RANGE', path: 'clip.high', expected: 'a finite number of at least 0' },
    ],
    [
      'clip of a number',
      () => grpo({ clip: any(0.2) }),
      { code: 'ERR_TYPE', path: 'clip', expected: 'a pair [low, high]' },
    ],
    [
      'clip of three',
      () => grpo({ clip: any([1, 2, 3]) }),
      { code: 'ERR_TYPE', path: 'clip', received: 'an array of 3' },
    ],
    [
      'another mode',
      () => a2tgpo({ mode: any('turn_group') }),
      { code: 'ERR_RANGE', path: 'mode', message: /Did you mean "turn-group"\?/ },
    ],
    [
      'alpha in a mode without it',
      () => a2tgpo(any({ mode: 'joint', alpha: 0.3 })),
      { code: 'ERR_NO_EFFECT', path: 'alpha', expected: 'mode "turn-group-v1d"', received: 'alpha with mode "joint"' },
    ],
    [
      'beta in a mode without it',
      () => a2tgpo(any({ mode: 'separate', beta: 0.3 })),
      { code: 'ERR_NO_EFFECT', path: 'beta' },
    ],
    [
      'lastTurn in a mode without a gain of its own',
      () => a2tgpo(any({ mode: 'joint', lastTurn: 'signal' })),
      { code: 'ERR_NO_EFFECT', path: 'lastTurn', expected: 'another mode' },
    ],
    ['an eps of 0 and no floor', () => grpo({ eps: 0 }), { code: 'ERR_RANGE', path: 'eps' }],
    [
      'gamma of 1.5',
      () => a2tgpo({ gamma: 1.5 }),
      { code: 'ERR_RANGE', path: 'gamma', expected: 'a number in [0, 1]' },
    ],
    ['gamma of NaN', () => a2tgpo({ gamma: Number.NaN }), { code: 'ERR_RANGE', path: 'gamma', received: 'NaN' }],
    [
      'eps with scale none',
      () => grpo(any({ scale: 'none', eps: 1e-6 })),
      { code: 'ERR_UNKNOWN_OPTION', path: 'eps', message: /eps has no effect with scale "none"/ },
    ],
    [
      'a dual of 1',
      () => grpo({ dual: 1 }),
      { code: 'ERR_RANGE', path: 'dual', expected: 'a finite number greater than 1', received: '1' },
    ],
    [
      'an aggregate that does not exist',
      () => grpo({ aggregate: any('mean') }),
      { code: 'ERR_RANGE', path: 'aggregate' },
    ],
    [
      'a horizon of 0',
      () => grpo({ aggregate: { kind: 'seq-mean-token-sum-norm', horizon: 0 } }),
      { code: 'ERR_RANGE', path: 'aggregate.horizon' },
    ],
    [
      'a horizon without its aggregate',
      () => grpo({ aggregate: any({ kind: 'token-mean', horizon: 3 }) }),
      { code: 'ERR_RANGE', path: 'aggregate.kind' },
    ],
    [
      'a KL coefficient of 0',
      () => grpo({ kl: { coef: 0, estimator: 'k1' } }),
      { code: 'ERR_RANGE', path: 'kl.coef', expected: 'a finite number greater than 0' },
    ],
    [
      'a clamp that only k3 has',
      () => grpo({ kl: any({ coef: 1, estimator: 'k1', valueClamp: 3 }) }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'kl.valueClamp' },
    ],
    ['an estimator of null', () => estimator(any(null)), { code: 'ERR_TYPE', path: 'estimator', received: 'null' }],
    [
      'no estimator',
      () => policyLossSync(any({}), any(undefined)),
      { code: 'ERR_MISSING', path: 'estimator', expected: 'an object' },
    ],
    ['no name', make({ name: undefined }), { code: 'ERR_MISSING', path: 'name', expected: 'a non-empty string' }],
    ['an empty name', make({ name: '' }), { code: 'ERR_TYPE', path: 'name' }],
    [
      'another version',
      make({ version: 2 }),
      { code: 'ERR_RANGE', path: 'version', expected: 'an integer in [1, 1]', received: '2' },
    ],
    ['an unknown stage', make({ whiten: true }), { code: 'ERR_UNKNOWN_OPTION', path: 'whiten' }],
    ['no channels', make({ channels: undefined }), { code: 'ERR_MISSING', path: 'channels' }],
    [
      'an empty list of channels',
      make({ channels: [] }),
      { code: 'ERR_TYPE', path: 'channels', expected: 'an array of 1 to 8 channels' },
    ],
    [
      'nine channels',
      make({ channels: new Array(9).fill(outcome), gate: { kind: 'ppo', low: 0, high: 0 } }),
      { code: 'ERR_TYPE', path: 'channels', received: 'an array of 9' },
    ],
    [
      'a form at token level',
      make({ ratio: { level: 'token', form: 'true' } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'ratio.form' },
    ],
    ['no form at turn level', make({ ratio: { level: 'turn' } }), { code: 'ERR_MISSING', path: 'ratio.form' }],
    [
      'a clamp upside down',
      make({ ratio: { level: 'token', clamp: { low: 1, high: 2 } } }),
      { code: 'ERR_RANGE', path: 'ratio.clamp.low', expected: 'a finite number of at most 0' },
    ],
    [
      'a gate that does not exist',
      make({ gate: { kind: 'cispo', low: 0, high: 0 } }),
      { code: 'ERR_RANGE', path: 'gate.kind', expected: '"ppo"' },
    ],
    [
      'an adapt of a signal that is no channel',
      make({ gate: { ...base.gate, adapt: { signal: 'turn-reward', beta: 0.1 } } }),
      { code: 'ERR_ESTIMATOR', path: 'gate.adapt.signal', received: '"turn-reward"' },
    ],
    [
      'a beta of 2',
      make({ gate: { ...base.gate, adapt: { signal: 'information-gain', beta: 2 } } }),
      { code: 'ERR_RANGE', path: 'gate.adapt.beta' },
    ],
    [
      'an unknown signal',
      channel({ signal: { kind: 'turn-rewards' } }),
      { code: 'ERR_RANGE', path: 'channels[0].signal.kind', message: /Did you mean "turn-reward"\?/ },
    ],
    [
      'a lastTurn of a turn reward',
      channel({ signal: { kind: 'turn-reward', lastTurn: 'signal' } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].signal.lastTurn' },
    ],
    [
      'a ddof of 2',
      channel({ scale: { kind: 'std', ddof: 2, eps: 0 } }),
      { code: 'ERR_RANGE', path: 'channels[0].scale.ddof' },
    ],
    [
      'an eps of no scale',
      channel({ scale: { kind: 'none', eps: 0 } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].scale.eps' },
    ],
    [
      'a gamma of no accumulation',
      channel({ accumulate: { kind: 'none', gamma: 1 } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].accumulate.gamma' },
    ],
    [
      'an infinite weight',
      channel({ weight: Number.POSITIVE_INFINITY }),
      { code: 'ERR_RANGE', path: 'channels[0].weight' },
    ],
    ['half a weight', channel({ weight: { inner: 1 } }), { code: 'ERR_MISSING', path: 'channels[0].weight.last' }],
    [
      'a gamma of a sum',
      make({ combine: { kind: 'sum', gamma: 1 } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'combine.gamma' },
    ],
    [
      'an outcome by turn',
      make({ gate: { kind: 'ppo', low: 0, high: 0 }, channels: [{ ...outcome, group: { kind: 'prompt-turn' } }] }),
      { code: 'ERR_RANGE', path: 'channels[0].group.kind' },
    ],
    [
      'an outcome that accumulates',
      make({ gate: { kind: 'ppo', low: 0, high: 0 }, channels: [{ ...outcome, then: { kind: 'none' } }] }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].then', message: /does not accumulate/ },
    ],
  ];
  testErrors(rows);
});
