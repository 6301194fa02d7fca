/** Presets with credit per turn: golden vectors, the GiGPO release, and numbers worked out by hand where nothing was released. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type Estimator,
  empg,
  estimateAdvantages,
  type GigpoOptions,
  gigpo,
  hgpo,
  mapo,
  matchTir,
  policyLossSync,
  segmentTurns,
  siop,
  stratifiedGrpo,
  type Term,
  trloo,
} from '../../lib/index.js';
import { GOLDEN_SEEDS, loadGolden } from '../golden/load.js';
import { DEVICES } from '../support/backends.js';
import { deviation } from '../support/numbers.js';
import { perToken } from './release.js';

/** 13 digits: half a unit of the 13th is 5e-13 of the scale at worst. */
const TOLERANCE = 1e-12;
/** Golden turn rewards: the information gain, the outcome on the last turn. */
const rewards: readonly Term[] = ['information-gain', 'outcome'];

const GOLDEN: Record<string, [Estimator, 'gains' | 'steps']> = {
  siop: [siop({ gamma: 0.95, rewards }), 'gains'],
  matchtir: [matchTir({ rewards }), 'gains'],
  trloo: [trloo({ gamma: 0.9 }), 'steps'],
  'gigpo.mean': [gigpo(), 'steps'],
  'gigpo.mean-std': [gigpo({ scale: 'std' }), 'steps'],
  hgpo: [hgpo(), 'steps'],
};

describe.each(DEVICES)('%s', (device) => {
  describe.each(GOLDEN_SEEDS)('batch-%i', (seed) => {
    const golden = loadGolden(seed);
    const { trajectoryOffsets, turnIds, actionMask, groups, outcome, informationGain } = golden;
    const file = JSON.parse(readFileSync(new URL(`../golden/batch-${seed}.json`, import.meta.url), 'utf8'));
    const turnRewards = Float64Array.from(file.step.flat());
    const anchor = Int32Array.from(file.anchor.flat());

    test.each(Object.keys(GOLDEN))('%s', (name) => {
      const [estimator, reads] = GOLDEN[name];
      const turns = segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device });
      /** A turn with fewer than `level` before it has a key of its own. */
      const history = (level: number) =>
        Int32Array.from(turns.index, (index, k) =>
          index < level ? -1 - k : anchor.slice(k - level, k + 1).reduce((key, id) => 4 * key + id, 0),
        );
      const keys = name.startsWith('gigpo')
        ? { keys: { anchor }, outcome }
        : name === 'hgpo'
          ? { keys: { history0: history(0), history1: history(1), history2: history(2) } }
          : {};
      const signals = reads === 'gains' ? { informationGain, outcome } : { turnRewards, ...keys };
      const credit = estimateAdvantages({ turns, groups, ...signals }, estimator, { device });
      expect(deviation(perToken(credit, golden), golden.advantages[name].tokens)).toBeLessThan(TOLERANCE);
    });
  });

  describe('GiGPO release', () => {
    const { inputs, cases } = JSON.parse(
      readFileSync(new URL('../golden/releases/gigpo.json', import.meta.url), 'utf8'),
    );
    const trajectories: number[] = inputs.trajectory;
    /** Rows are in order; one token each. */
    const firsts = trajectories.flatMap((m, row) => (row > 0 && trajectories[row - 1] === m ? [] : [row]));
    const batch = {
      turns: segmentTurns(
        { trajectoryOffsets: Int32Array.from([...firsts, trajectories.length]), turnIds: inputs.turnIndex },
        { device: 'reference' },
      ),
      groups: firsts.map((row) => inputs.group[row]),
      outcome: firsts.map((row) => inputs.episodeReward[row]),
      turnRewards: inputs.stepReward,
    };
    const rows = (options: GigpoOptions, anchor: number[] = inputs.anchor) =>
      estimateAdvantages({ ...batch, keys: { anchor } }, gigpo(options), { device }).advantages;

    test.each([
      ['mean_norm.w1.0', { statistics: 'step' }],
      ['mean_norm.w0.5', { statistics: 'step', stepWeight: 0.5 }],
      ['mean_std_norm.w1.0', { statistics: 'step', scale: 'std' }],
      ['episode.mean_norm.step-rows', { statistics: 'step', stepWeight: 0 }],
      ['episode.mean_norm.trajectories', { stepWeight: 0 }],
      ['episode.mean_std_norm.step-rows', { statistics: 'step', scale: 'std', stepWeight: 0 }],
    ] as [string, GigpoOptions][])('%s', (name, options) => {
      // 16 digits printed.
      expect(deviation(rows(options), cases[name].rowAdvantages)).toBeLessThan(TOLERANCE);
    });

    test('over trajectories an episode alone keeps its raw reward; the release divides it by 1 + eps', () => {
      const actual = rows({ scale: 'std', stepWeight: 0 });
      const expected: number[] = cases['episode.mean_std_norm.trajectories'].rowAdvantages;
      expect(deviation(actual.slice(0, 24), expected.slice(0, 24))).toBeLessThan(TOLERANCE);
      for (const row of [24, 25, 26]) expect(actual[row]).toBe(batch.outcome[10]);
    });

    test('anchors by similarity are the caller’s keys', () => {
      const keys: number[] = cases['similarity-groups'].rowGroup;
      const expected = cases['mean_norm.w1.0.similarity'].rowAdvantages;
      expect(deviation(rows({ statistics: 'step' }, keys), expected)).toBeLessThan(TOLERANCE);
    });
  });

  /** One prompt, two trajectories of two turns of one token. */
  const turns = segmentTurns({ trajectoryOffsets: [0, 2, 4], turnIds: [0, 1, 0, 1] }, { device });
  const expectClose = (actual: Float64Array, expected: number[], digits = 13) =>
    expected.forEach((value, k) => {
      expect(actual[k], `turn ${k}`).toBeCloseTo(value, digits);
    });

  test('trloo by hand: less what the other trajectory earns from the same turn on', () => {
    const batch = { turns, groups: [1, 1], turnRewards: [1, 2, 0.5, 0] };
    // gamma 0.5: G = (2, 2) and (0.5, 0); of two, less the other.
    expect([...estimateAdvantages(batch, trloo({ gamma: 0.5 }), { device }).advantages]).toEqual([1.5, 2, -1.5, -2]);
    expect([...estimateAdvantages(batch, trloo(), { device }).advantages]).toEqual([2.5, 2, -2.5, -2]);
    // Alone in its prompt, a turn keeps its return.
    const alone = { ...batch, groups: [1, 2] };
    expect([...estimateAdvantages(alone, trloo(), { device }).advantages]).toEqual([3, 2, 0.5, 0]);
  });

  test('trloo: the recipe’s rejection, by turn', () => {
    const estimator = trloo({
      clip: [1, 1],
      weights: [
        {
          kind: 'reject',
          level: 'turn',
          reduce: 'mean',
          divergence: 'k1',
          low: -Math.log(1.001),
          high: -Math.log(0.999),
        },
        { kind: 'reject', level: 'turn', reduce: 'max', divergence: 'k1', high: -Math.log(1e-4) },
      ],
    });
    const logProbs = Float32Array.of(-1, -1, -1, -1);
    // Ratios to the sampler: 1, e^-0.002 (out of the band), 1, 1.
    const rolloutLogProbs = Float32Array.of(-1, -0.998, -1, -1);
    const credit = { advantages: [1, 1, 1, 1], advantageLevel: 'turn' as const };
    const { metrics } = policyLossSync(
      { turns, logProbs, oldLogProbs: logProbs, rolloutLogProbs, ...credit },
      estimator,
      { device },
    );
    expect(metrics.maskedFraction).toBe(0.25);
  });

  test('matchTir by hand', () => {
    const batch = { turns, groups: [1, 1], turnRewards: [1, 0, 0, 0.5] };
    // Totals 1 and 0.5, G = (1, 0) and (0.45, 0.5): of two, z = ±d / (sqrt(2) d + 1e-6), d = half the difference.
    const z = (a: number, b: number) => (a - b) / 2 / (Math.abs(a - b) / Math.SQRT2 + 1e-6);
    const [total, first, last] = [z(1, 0.5), z(1, 0.45), z(0, 0.5)];
    const [x, y] = [(total + first) / 2, (total + last) / 2];
    expectClose(estimateAdvantages(batch, matchTir(), { device }).advantages, [x, y, -x, -y]);
  });

  test('siop by hand: a pool of all turns, then summed backwards', () => {
    const batch = { turns, groups: [1, 1], turnRewards: [1, 2, 3, 2] };
    // Mean 2, sample variance 2 / 3.
    const sd = Math.sqrt(2 / 3) + 1e-6;
    expectClose(estimateAdvantages(batch, siop(), { device }).advantages, [-1 / sd, 0, 1 / sd, 0]);
    expectClose(
      estimateAdvantages({ ...batch, turnRewards: [2, 3, 2, 1] }, siop({ gamma: 0.5 }), { device }).advantages,
      [0.5 / sd, 1 / sd, -0.5 / sd, -1 / sd],
    );
  });

  test('stratifiedGrpo by hand', () => {
    const batch = {
      trajectoryOffsets: [0, 1, 2, 3, 4],
      groups: [7, 7, 7, 7],
      outcome: [1, 0, 3, 4],
      keys: { stratum: [2, 2, 5, 9] },
    };
    // Prompt: mean 2, population variance 2.5. Stratum 2: ±0.5 / 0.5; strata 5 and 9 are alone.
    const global = [-1, -2, 1, 2].map((x) => x / (Math.sqrt(2.5) + 1e-6));
    const local = [0.5 / (0.5 + 1e-6), -0.5 / (0.5 + 1e-6), 0, 0];
    const { advantages } = estimateAdvantages(batch, stratifiedGrpo({ alpha: 0.25, ddof: 0, eps: 1e-6 }), { device });
    expectClose(
      advantages,
      global.map((z, m) => 0.25 * local[m] + 0.75 * z),
    );
    // Sample variance 10 / 3.
    const sample = estimateAdvantages(batch, stratifiedGrpo({ alpha: 0, ddof: 1, eps: 1e-6 }), { device }).advantages;
    expect(sample[3]).toBeCloseTo(2 / (Math.sqrt(10 / 3) + 1e-6), 13);
  });

  test('mapo by hand', () => {
    const batch = { turns, groups: [1, 1], turnRewards: [1, 2, 0, 0] };
    // gamma 1: G = (3, 2) and (0, 0). Batch: mean 1.25, sum of squares 13 - 6.25 = 6.75; turns: ±1.5 and ±1.
    const options = { gamma: 1, turnWeight: 2, batchWeight: 0.5, ddof: 0, eps: 1e-3 } as const;
    const sd = Math.sqrt(6.75 / 4) + 1e-3;
    const [first, second] = [1.5 / 1.501, 1 / 1.001];
    expectClose(estimateAdvantages(batch, mapo(options), { device }).advantages, [
      2 * first + (0.5 * 1.75) / sd,
      2 * second + (0.5 * 0.75) / sd,
      -2 * first - (0.5 * 1.25) / sd,
      -2 * second - (0.5 * 1.25) / sd,
    ]);
  });

  test('empg by hand: confident turns weigh more, and are rewarded beforehand', () => {
    // The first turn has two tokens: the centre counts turns.
    const uneven = segmentTurns({ trajectoryOffsets: [0, 3, 5], turnIds: [0, 0, 1, 0, 1] }, { device });
    const batch = { turns: uneven, groups: [1, 1], outcome: [1, 0], turnEntropies: [0.2, 0.6, 1, 0.2] };
    const a = 0.5 / (Math.SQRT1_2 + 1e-6);
    const h = [0, 0.5, 1, 0].map((x) => (x * 0.8) / (0.8 + 1e-8));
    const [k, bonus, kf] = [2, 0.3, 0.5];
    const g = h.map((x) => Math.exp(-k * x));
    const mean = (g[0] + g[1] + g[2] + g[3]) / 4;
    const raw = [
      (a * g[0]) / mean + bonus * Math.exp(-kf * h[1]),
      (a * g[1]) / mean,
      (-a * g[2]) / mean + bonus * Math.exp(-kf * h[3]),
      (-a * g[3]) / mean,
    ];
    const center = raw.reduce((sum, x) => sum + x, 0) / 4;
    const { advantages } = estimateAdvantages(batch, empg({ decay: k, bonus, bonusDecay: kf }), { device });
    expectClose(
      advantages,
      raw.map((x) => x - center),
    );
    expect(empg().modulate).toEqual({ kind: 'entropy', decay: 1, bonus: 0.1, bonusDecay: 1 });
  });
});
