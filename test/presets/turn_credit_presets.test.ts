/** What holds for every preset of credit per turn: plain data, no misspelled or idle option, nothing invented, exact zeros. */
import { describe, expect, test } from 'vitest';
import {
  arpo,
  atpo,
  type Credit,
  type Estimator,
  empg,
  epo,
  estimateAdvantages,
  estimator,
  gigpo,
  hgpo,
  hiper,
  igpo,
  infoPo,
  mapo,
  matchTir,
  mtGrpo,
  portool,
  segmentTurns,
  siop,
  spaRl,
  stratifiedGrpo,
  trloo,
} from '../../lib/index.js';
import { DEVICES } from '../support/backends.js';
import { expectInvalid } from '../support/errors.js';
import { signalsFor } from '../support/estimator_batch.js';
import { sample } from '../support/sample.js';

interface Entry {
  make: (options: never) => Estimator;
  required?: object;
  /** Trajectories of a prompt that are alike in everything have advantage 0; whitening and critics do not centre within the prompt. */
  centres?: false;
}

const PRESETS: Record<string, Entry> = {
  arpo: { make: arpo },
  'arpo, hard': { make: arpo, required: { attribution: 'hard' } },
  atpo: { make: atpo },
  'atpo, parent and root': { make: atpo, required: { nodeAdvantage: 'parent-and-root', backup: 'leaf-mean' } },
  empg: { make: empg, centres: false },
  epo: { make: epo },
  gigpo: { make: gigpo },
  'gigpo, steps': { make: gigpo, required: { scale: 'std', statistics: 'step' } },
  hgpo: { make: hgpo },
  hiper: { make: hiper, centres: false },
  // Every token is compared with the first ones.
  igpo: { make: igpo, centres: false },
  infoPo: { make: infoPo },
  mapo: { make: mapo, required: { gamma: 0.9, turnWeight: 1, batchWeight: 0, ddof: 1, eps: 1e-6 } },
  matchTir: { make: matchTir },
  mtGrpo: { make: mtGrpo },
  portool: { make: portool, required: { forkWeight: 0.5, trajectoryWeight: 0.5 } },
  siop: { make: siop },
  spaRl: { make: spaRl, centres: false },
  stratifiedGrpo: { make: stratifiedGrpo, required: { alpha: 0.6, ddof: 0, eps: 1e-6 } },
  trloo: { make: trloo },
};

const built = ({ make, required = {} }: Entry, options: object = {}) => make({ ...required, ...options } as never);
const SAMPLE = sample({ seed: 3, trajectories: 9, prompts: 2 });

/** Two prompts of three trajectories of two turns of two tokens, 0.1 everywhere: sums of it round. */
const LAYOUT = {
  trajectoryOffsets: Int32Array.from({ length: 7 }, (_, m) => 4 * m),
  turnIds: Int32Array.from({ length: 24 }, (_, n) => (n % 4) >> 1),
};
const CONSTANT: Record<string, unknown> = {
  outcome: new Float64Array(6).fill(0.7),
  turnRewards: new Float64Array(12).fill(0.1),
  informationGain: Float64Array.from({ length: 12 }, (_, k) => (k % 2 === 0 ? 0.1 : Number.NaN)),
  signals: { intrinsic: new Float64Array(12).fill(0.1) },
  keys: Object.fromEntries([
    ...['anchor', 'history0', 'history1', 'history2'].map((name) => [
      name,
      Int32Array.from({ length: 12 }, (_, k) => k % 2),
    ]),
    ['stratum', new Int32Array(6)],
  ]),
  nodes: Int32Array.from({ length: 12 }, (_, k) => k),
  turnEntropies: Float64Array.from({ length: 12 }, (_, k) => k / 12),
};

describe.each(Object.entries(PRESETS))('%s', (_, entry) => {
  test('an option that does not exist', () => {
    for (const option of ['clippp', 'compat']) {
      expectInvalid(() => built(entry, { [option]: 'verl' }), { code: 'ERR_UNKNOWN_OPTION', path: option });
    }
  });

  test('what is not public must be given', () => {
    for (const name of Object.keys(
      entry.make === mapo || entry.make === portool || entry.make === stratifiedGrpo ? (entry.required ?? {}) : {},
    )) {
      expectInvalid(() => built(entry, { [name]: undefined }), { code: 'ERR_MISSING', path: name });
    }
  });

  test('terms of the loss', () => {
    const kl = { coef: 0.01, estimator: 'k2' } as const;
    expect(built(entry, { kl, aggregate: 'token-sum', clip: [0.1, 0.4], dual: 5 })).toMatchObject({
      kl,
      aggregate: 'token-sum',
      gate: { kind: 'ppo', low: 0.1, high: 0.4, dual: 5 },
    });
  });

  describe.each(DEVICES)('%s', (device) => {
    test('the same credit after JSON', () => {
      const method = built(entry);
      const parsed = estimator(JSON.parse(JSON.stringify(method)));
      expect(parsed).toEqual(method);
      const run = (made: Estimator): Credit => {
        const { turns, actionMask } = SAMPLE;
        return estimateAdvantages({ turns, actionMask, ...signalsFor(made, SAMPLE) }, made, { device });
      };
      const [a, b] = [run(method), run(parsed)];
      expect(b.advantages).toEqual(a.advantages);
      expect(a.advantages.some((value) => value !== 0)).toBe(true);
    });

    // What does not centre within the prompt keeps equal outcomes.
    if (entry.centres !== false) {
      test('trajectories that are alike: exactly 0', () => {
        const method = built(entry);
        const turns = segmentTurns(LAYOUT, { device });
        const { groups: __, ...asked } = signalsFor(method, SAMPLE);
        const signals = Object.keys(asked).map((name) => {
          const record = asked[name] as object;
          const given = CONSTANT[name] as Record<string, unknown>;
          const named = name === 'keys' || name === 'signals';
          return [name, named ? Object.fromEntries(Object.keys(record).map((key) => [key, given[key]])) : given];
        });
        const input = { turns, groups: [4, 4, 4, 8, 8, 8], ...Object.fromEntries(signals) };
        const { advantages } = estimateAdvantages(input, method, { device });
        expect([...advantages]).toEqual(new Array(advantages.length).fill(0));
      });
    }
  });
});

describe('options without effect', () => {
  const refused = (run: () => unknown, path: string) => expectInvalid(run, { code: 'ERR_UNKNOWN_OPTION', path });

  test('an eps where nothing is divided', () => {
    refused(() => igpo({ scale: 'none', eps: 1e-6 }), 'eps');
    refused(() => gigpo({ eps: 1e-6 }), 'eps');
    refused(() => arpo({ scale: 'none', eps: 1e-6 } as never), 'eps');
  });

  test('a group of one where nothing is compared', () => {
    refused(() => atpo({ normalize: false, singleton: 'raw' }), 'singleton');
  });
});

describe('defaults in the data', () => {
  test('clip and aggregate', () => {
    const tokenMean = { aggregate: 'token-mean', gate: { low: 0.2, high: 0.2, dual: null } };
    for (const make of [igpo, gigpo, hgpo, matchTir, siop, empg, infoPo, hiper, spaRl, arpo, epo]) {
      expect(make()).toMatchObject({ ...tokenMean, ratio: { level: 'token' } });
    }
    expect(trloo()).toMatchObject({ aggregate: 'token-mean', gate: { low: 0.2, high: 0.28 } });
    expect(mtGrpo()).toMatchObject({ aggregate: 'seq-mean-token-mean', gate: { low: 0.2, high: 0.2 } });
    expect(atpo()).toMatchObject({
      aggregate: 'seq-mean-token-mean',
      gate: { low: 3e-3, high: 4e-3 },
      ratio: { level: 'turn', form: 'straight-through', reduce: 'mean' },
    });
  });

  test('weights of the parts', () => {
    const weights = (made: Estimator) => made.channels.map(({ weight }) => weight);
    expect(weights(mtGrpo())).toEqual([1, 1]);
    expect(weights(gigpo())).toEqual([1, 1]);
    expect(weights(infoPo())).toEqual([1, 0.1]);
    expect(weights(matchTir())).toEqual([0.5, 0.5]);
    expect(weights(hiper())).toEqual([1, 1, 1]);
  });

  test('hgpo has a channel for every level', () => {
    expect(
      hgpo({ history: 3, alpha: 2 }).channels.map(({ weight, group }) => [weight, 'key' in group && group.key]),
    ).toEqual([
      [1, 'history0'],
      [4, 'history1'],
      [9, 'history2'],
      [16, 'history3'],
    ]);
    expectInvalid(() => hgpo({ history: 8 }), { code: 'ERR_RANGE', path: 'history' });
  });
});
