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
    [
      'an unknown stage',
      make({ whitening: true }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'whitening', message: /did you mean "whiten"/ },
    ],
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
      { code: 'ERR_RANGE', path: 'gate.kind', expected: /^"none", "ppo", "detached"/ },
    ],
    [
      'an adapt of a channel that is not there',
      make({ gate: { ...base.gate, adapt: { channel: 2, beta: 0.1 } } }),
      { code: 'ERR_ESTIMATOR', path: 'gate.adapt.channel', expected: 'one of the 2 channels, from 0', received: '2' },
    ],
    [
      'a beta of 2',
      make({ gate: { ...base.gate, adapt: { channel: 0, beta: 2 } } }),
      { code: 'ERR_RANGE', path: 'gate.adapt.beta' },
    ],
    [
      'a bound of a gate without a clip range',
      make({ gate: { kind: 'sigmoid', temperature: { positive: 1, negative: 1 }, low: 1 } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'gate.low' },
    ],
    [
      'an unknown signal',
      channel({ signal: 'turn-rewards' }),
      { code: 'ERR_RANGE', path: 'channels[0].signal', message: /Did you mean "turn-reward"\?/ },
    ],
    [
      'an unknown term',
      channel({ signal: { level: 'turn', terms: ['rewards'] } }),
      { code: 'ERR_RANGE', path: 'channels[0].signal.terms.term' },
    ],
    [
      'no terms',
      channel({ signal: { level: 'turn', terms: [] } }),
      { code: 'ERR_TYPE', path: 'channels[0].signal.terms', received: 'an array of 0' },
    ],
    [
      'two terms of one level',
      channel({ signal: { level: 'turn', terms: ['turn-reward', { name: 'mine', level: 'turn' }] } }),
      { code: 'ERR_ESTIMATOR', path: 'channels[0].signal.terms[1]', expected: 'at most one term per level' },
    ],
    [
      'a place with nothing to place',
      channel({ signal: { level: 'turn', terms: ['turn-reward'], place: 'every' } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].signal.place' },
    ],
    [
      'a lastTurn of a turn reward',
      channel({ signal: { level: 'turn', terms: ['turn-reward'], lastTurn: 'signal' } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].signal.lastTurn' },
    ],
    [
      'a tree of turn rewards',
      channel({ signal: 'turn-reward', accumulate: { kind: 'tree', backup: 'leaf-mean' } }),
      { code: 'ERR_ESTIMATOR', path: 'channels[0].accumulate' },
    ],
    [
      'the outcome twice',
      channel({
        signal: { level: 'turn', terms: ['turn-reward', 'outcome'] },
        accumulate: { kind: 'discounted', gamma: 1, bootstrap: 'outcome' },
      }),
      { code: 'ERR_ESTIMATOR', path: 'channels[0].accumulate.bootstrap' },
    ],
    [
      'ranks among first members',
      channel({ transform: 'rank-gauss', group: { kind: 'prompt', members: 'first' } }),
      { code: 'ERR_ESTIMATOR', path: 'channels[0].transform' },
    ],
    [
      'an observation at turn level',
      channel({ signal: 'turn-reward', accumulate: { kind: 'discounted', gamma: 1, observation: 'reset' } }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].accumulate.observation' },
    ],
    [
      'a prompt-key without its name',
      channel({ group: { kind: 'prompt-key' } }),
      { code: 'ERR_MISSING', path: 'channels[0].group.key' },
    ],
    [
      'only ratio targets',
      make({ channels: [{ ...outcome, use: 'ratio-target' }], gate: { kind: 'l1-target', low: 0.1, high: 0.1 } }),
      { code: 'ERR_ESTIMATOR', path: 'channels' },
    ],
    [
      'l1-target without a target',
      make({ gate: { kind: 'l1-target', low: 0.1, high: 0.1 } }),
      { code: 'ERR_ESTIMATOR', path: 'gate.kind', received: 'no such channel' },
    ],
    [
      'a target without l1-target',
      make({ channels: [...base.channels, { ...outcome, use: 'ratio-target' }] }),
      { code: 'ERR_ESTIMATOR', path: 'gate.kind', received: '"ppo"' },
    ],
    [
      'joined tokens',
      make({
        combine: { kind: 'join', gamma: 1 },
        channels: [{ ...base.channels[0], signal: 'token-reward', group: { kind: 'prompt' } }],
      }),
      { code: 'ERR_ESTIMATOR', path: 'combine.kind' },
    ],
    [
      'a cap of the first channel',
      make({ channels: [{ ...base.channels[0], cap: { eps: 1e-6 } }] }),
      { code: 'ERR_ESTIMATOR', path: 'channels[0].cap' },
    ],
    [
      'a cap in a weighted mean',
      make({ combine: { kind: 'weighted-mean' }, channels: [base.channels[0], { ...outcome, cap: { eps: 1e-6 } }] }),
      { code: 'ERR_ESTIMATOR', path: 'channels[1].cap', expected: 'combine sum' },
    ],
    [
      'whitened turns of tokens',
      make({
        whiten: { kind: 'center', over: 'turn' },
        channels: [{ ...base.channels[0], signal: 'token-reward' }],
      }),
      { code: 'ERR_ESTIMATOR', path: 'whiten.over' },
    ],
    [
      'a KL corrected by the ratio of a turn',
      make({ kl: { coef: 1, estimator: 'k3', ratioCorrection: true } }),
      { code: 'ERR_ESTIMATOR', path: 'kl.ratioCorrection' },
    ],
    [
      'a correction towards the denominator',
      make({
        ratio: { level: 'token', denominator: 'rollout' },
        weights: [{ kind: 'importance', level: 'token', mode: 'truncate', high: 2 }],
      }),
      { code: 'ERR_ESTIMATOR', path: 'weights[0].kind' },
    ],
    [
      'five weights',
      make({ weights: new Array(5).fill({ kind: 'given' }) }),
      { code: 'ERR_TYPE', path: 'weights', received: 'an array of 5' },
    ],
    [
      'a rejection without bounds',
      make({ weights: [{ kind: 'reject', level: 'token', divergence: 'k3' }] }),
      { code: 'ERR_MISSING', path: 'weights[0].high' },
    ],
    ['prompt-mean of tokens', make({ aggregate: 'prompt-mean' }), { code: 'ERR_ESTIMATOR', path: 'aggregate' }],
    [
      'log-sum-exp of tokens',
      make({
        channels: [outcome],
        gate: { kind: 'log-sum-exp', temperature: 1 },
        aggregate: 'prompt-mean',
        ratio: { level: 'token' },
      }),
      { code: 'ERR_ESTIMATOR', path: 'ratio' },
    ],
    [
      'log-sum-exp of labels that change within a trajectory',
      make({
        gate: { kind: 'log-sum-exp', temperature: 1 },
        aggregate: 'prompt-mean',
        ratio: { level: 'sequence', form: 'true' },
      }),
      { code: 'ERR_ESTIMATOR', path: 'channels[0]' },
    ],
    [
      'an adaptive range of no width',
      make({ gate: { kind: 'detached', low: 0, high: 0, adapt: { channel: 0, beta: 0.3 } } }),
      { code: 'ERR_ESTIMATOR', path: 'gate.adapt' },
    ],
    [
      'a mask without bounds',
      make({ weights: [{ kind: 'importance', level: 'token', mode: 'mask' }] }),
      { code: 'ERR_MISSING', path: 'weights[0].high' },
    ],
    ['a clip of null', () => grpo({ clip: any(null) }), { code: 'ERR_TYPE', path: 'clip', received: 'null' }],
    ['a compat of null', () => grpo({ compat: any(null) }), { code: 'ERR_TYPE', path: 'compat' }],
    [
      'whitened trajectories of turns',
      make({ whiten: { kind: 'center', over: 'sequence' } }),
      { code: 'ERR_ESTIMATOR', path: 'whiten.over' },
    ],
    ['an entropy coefficient of 0', make({ entropy: { coef: 0 } }), { code: 'ERR_RANGE', path: 'entropy.coef' }],
    [
      'keys at two levels',
      make({
        gate: { kind: 'ppo', low: 0, high: 0 },
        channels: [
          { ...outcome, group: { kind: 'prompt-key', key: 'a' } },
          { ...outcome, signal: 'turn-reward', group: { kind: 'prompt-key', key: 'a' } },
        ],
      }),
      { code: 'ERR_ESTIMATOR', path: 'channels', expected: 'one level for keys.a' },
    ],
    [
      'credit of functions',
      make({ custom: ['advantage'] }),
      { code: 'ERR_ESTIMATOR', path: 'custom', received: 'credit made by the functions advantage' },
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
      make({ gate: { kind: 'ppo', low: 0, high: 0 }, channels: [{ ...outcome, accumulate: { kind: 'none' } }] }),
      { code: 'ERR_UNKNOWN_OPTION', path: 'channels[0].accumulate', message: /nothing to accumulate/ },
    ],
  ];
  testErrors(rows);
});
