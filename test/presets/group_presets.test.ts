/** What holds for every preset here: plain data, no misspelled or idle option, exact zeros, `compat` only where a release has the method. */
import { describe, expect, test } from 'vitest';
import {
  type Credit,
  cispo,
  dapo,
  drGrpo,
  type Estimator,
  estimateAdvantages,
  estimator,
  g2rpo,
  gbpo,
  gdpo,
  gmpo,
  grpo,
  gspo,
  gspoToken,
  luspo,
  opo,
  policyLossSync,
  ppo,
  r2vpo,
  real,
  reinforcePlusPlus,
  reinforcePlusPlusBaseline,
  remax,
  rloo,
  sapo,
  stPpo,
  tPpo,
  turnPpo,
  vespo,
} from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';
import { expectInvalid } from '../support/errors.js';
import { sample } from '../support/sample.js';

/** Two prompts, the second of equal outcomes. */
const SAMPLE = sample({ seed: 5, trajectories: 7, prompts: 1 });
const GROUPS = [4, 4, 4, 4, 9, 9, 9];
const OUTCOME = [1, 0, 0.25, 0.75, 0.1, 0.1, 0.1];

interface Entry {
  make: (options: never) => Estimator;
  required?: object;
  signals?: object;
  /** Releases that have the method. */
  compat?: readonly string[];
  /** Equal outcomes of a prompt have advantage 0; batch whitening and critics do not centre within the prompt. */
  centres?: false;
}

const both = ['verl', 'trl'];
const outcome = { outcome: OUTCOME };
const values = Float64Array.from({ length: SAMPLE.tokens }, (_, n) => (n % 7) / 8);

const PRESETS: Record<string, Entry> = {
  cispo: { make: cispo, required: { high: 1 }, compat: both },
  dapo: { make: dapo, compat: both },
  drGrpo: { make: drGrpo, required: { horizon: 16 }, compat: both },
  g2rpo: { make: g2rpo },
  gbpo: { make: gbpo },
  gdpo: {
    make: gdpo,
    required: { rewards: { accuracy: 1, format: 0.5 } },
    signals: { signals: { accuracy: OUTCOME, format: [0, 1, 1, 0, 1, 1, 1] } },
    compat: both,
    centres: false,
  },
  gmpo: { make: gmpo, compat: both },
  grpo: { make: grpo, compat: both },
  gspo: { make: gspo, compat: both },
  gspoToken: { make: gspoToken, compat: both },
  luspo: { make: luspo, compat: ['trl'] },
  opo: { make: opo, compat: ['verl'] },
  ppo: { make: ppo, signals: { ...outcome, values }, compat: both, centres: false },
  r2vpo: { make: r2vpo },
  real: { make: real },
  reinforcePlusPlus: { make: reinforcePlusPlus, compat: ['verl'], centres: false },
  reinforcePlusPlusBaseline: { make: reinforcePlusPlusBaseline, compat: ['verl'], centres: false },
  remax: { make: remax, signals: { ...outcome, baseline: [0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1] }, compat: ['verl'] },
  rloo: { make: rloo, compat: both },
  sapo: { make: sapo, compat: both },
  stPpo: { make: stPpo, signals: { ...outcome, values }, centres: false },
  tPpo: {
    make: tPpo,
    required: { gamma: 0.99, lambda: 0.95 },
    signals: { ...outcome, values, truncated: Uint8Array.of(0, 1, 0, 0, 1, 0, 0) },
    centres: false,
  },
  turnPpo: { make: turnPpo, signals: { ...outcome, values }, centres: false },
  vespo: { make: vespo, compat: ['trl'] },
};

const built = ({ make, required = {} }: Entry, options: object = {}) => make({ ...required, ...options } as never);

describe.each(Object.entries(PRESETS))('%s', (_, entry) => {
  const { turns, trajectoryOffsets, actionMask } = SAMPLE;
  const batch = { turns, trajectoryOffsets, actionMask, groups: GROUPS, ...(entry.signals ?? outcome) };

  test('an option that does not exist', () => {
    const run = () => built(entry, { clippp: [0.1, 0.2] });
    expectInvalid(run, { code: 'ERR_UNKNOWN_OPTION', path: 'clippp' });
  });

  test('compat: the releases that have the method, and no other', () => {
    for (const compat of ['verl', 'trl']) {
      if (entry.compat?.includes(compat)) {
        expect(built(entry, { compat }).name).toBe(built(entry).name);
        expect(built(entry, { compat })).not.toEqual(built(entry));
      } else {
        expectInvalid(() => built(entry, { compat }), {
          code: entry.compat ? 'ERR_RANGE' : 'ERR_UNKNOWN_OPTION',
          path: 'compat',
        });
      }
    }
  });

  describe.each(DEVICES)('%s', (device) => {
    const run = (method: Estimator) => {
      const credit: Credit = estimateAdvantages(batch, method, { device });
      const { logProbs, oldLogProbs } = SAMPLE;
      return {
        credit,
        loss: policyLossSync({ logProbs, oldLogProbs, turns, trajectoryOffsets, actionMask, credit }, method, {
          device,
        }),
      };
    };

    test('the same results after JSON', () => {
      for (const compat of [undefined, ...(entry.compat ?? [])]) {
        const method = built(entry, compat === undefined ? {} : { compat });
        const parsed = estimator(JSON.parse(JSON.stringify(method)));
        expect(parsed).toEqual(method);
        const [a, b] = [run(method), run(parsed)];
        expect(b.credit.advantages).toEqual(a.credit.advantages);
        expect(b.loss.loss).toBe(a.loss.loss);
        expect(b.loss.grad.logProbs).toEqual(a.loss.grad.logProbs);
        expect(a.loss.grad.logProbs.some((value) => value !== 0)).toBe(true);
      }
    });

    // What does not centre within the prompt keeps equal outcomes.
    if (entry.centres !== false) {
      test('equal outcomes: exactly 0', () => {
        const { advantages } = run(built(entry)).credit;
        const constant = advantages.filter((__, k) => turns.trajectory[k] >= 4);
        expect(constant.length).toBeGreaterThan(2);
        expect(constant.every((value) => value === 0)).toBe(true);
        expect(advantages.some((value) => value !== 0)).toBe(true);
      });
    }
  });
});

describe('options', () => {
  const refused = (
    make: (options: never) => Estimator,
    options: object,
    path: string,
    code: 'ERR_MISSING' | 'ERR_UNKNOWN_OPTION',
  ) => expectInvalid(() => make(options as never), { code, path });

  test('what a paper does not say must be given', () => {
    refused(cispo, {}, 'high', 'ERR_MISSING');
    refused(drGrpo, {}, 'horizon', 'ERR_MISSING');
    refused(gdpo, {}, 'rewards', 'ERR_MISSING');
    refused(tPpo, { lambda: 1 }, 'gamma', 'ERR_MISSING');
    refused(tPpo, { gamma: 1 }, 'lambda', 'ERR_MISSING');
  });

  test('what has no effect is refused', () => {
    for (const make of [grpo, dapo, gspo, sapo, r2vpo])
      refused(make, { scale: 'none', eps: 1 }, 'eps', 'ERR_UNKNOWN_OPTION');
    for (const make of [rloo, opo, remax]) refused(make, { dual: 3 }, 'dual', 'ERR_UNKNOWN_OPTION');
    for (const make of [rloo, opo, remax])
      refused(make, { compat: 'verl', clip: null, dual: 3 }, 'dual', 'ERR_UNKNOWN_OPTION');
    refused(drGrpo, { horizon: 8, aggregate: 'token-mean' }, 'horizon', 'ERR_UNKNOWN_OPTION');
    refused(real, { weights: [] }, 'weights', 'ERR_UNKNOWN_OPTION');
  });

  test('what is given wins over compat', () => {
    expect(grpo({ compat: 'verl', dual: null, singleton: 'zero', aggregate: 'seq-mean-token-mean' })).toEqual(grpo());
    expect(grpo({ compat: 'trl', eps: 1e-6 }).channels).toEqual(grpo().channels);
    expect(rloo({ clip: [0.2, 0.2], dual: 3, singleton: 'raw', aggregate: 'token-mean' })).toEqual(
      rloo({ compat: 'verl' }),
    );
    expect(cispo({ compat: 'verl', low: null }).gate).toMatchObject({ low: null, high: 0.2 });
  });

  test('defaults in the data', () => {
    expect(dapo().gate).toMatchObject({ kind: 'ppo', low: 0.2, high: 0.28, dual: null });
    expect(gspo()).toMatchObject({
      ratio: { level: 'sequence', form: 'true', reduce: 'mean' },
      gate: { low: 3e-4, high: 4e-4 },
      aggregate: 'seq-mean-token-mean',
    });
    expect(gspo({ compat: 'verl' }).ratio).toEqual(gspoToken().ratio);
    expect(luspo()).toMatchObject({
      ratio: { level: 'sequence', form: 'true' },
      gate: { low: 2e-3, high: 2.5e-3 },
      aggregate: 'seq-mean-token-sum',
    });
    expect(gmpo().ratio).toMatchObject({ form: 'true', tokenClip: { low: 0.4, high: 0.4 } });
    expect(sapo().gate).toEqual({ kind: 'sigmoid', temperature: { positive: 1, negative: 1.05 } });
    expect(vespo().gate).toEqual({
      kind: 'gamma',
      shape: { positive: 2, negative: 3 },
      rate: { positive: 3, negative: 2 },
    });
    expect(cispo({ high: 3 }).gate).toEqual({ kind: 'detached', low: null, high: 3, adapt: null });
    expect(cispo({ compat: 'trl' }).gate).toMatchObject({ low: null, high: 4 });
    expect(r2vpo().gate).toEqual({ kind: 'quadratic', coef: 0.04, of: 'ratio' });
    expect(real()).toMatchObject({ gate: { kind: 'log-sum-exp', temperature: 0.5 }, aggregate: 'prompt-mean' });
  });
});
