/** Presets with credit per token: IGPO, MT-GRPO, InfoPO, HiPER, SPA-RL and EPO against their releases, and by hand. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  epo,
  estimateAdvantages,
  estimator,
  hiper,
  type InfoPoOptions,
  igpo,
  infoPo,
  mtGrpo,
  policyLossSync,
  segmentTurns,
  spaRl,
} from '../../lib/index.js';
import { GOLDEN_SEEDS, loadGolden } from '../golden/load.js';
import { DEVICES } from '../support/backends.js';
import { deviation } from '../support/numbers.js';
import { creditOf, expectedAdvantages, expectLoss, loadRelease, perToken, type Release } from './release.js';

/** 16 digits printed. */
const TOLERANCE = 1e-12;
const NONE = Number.NaN;

/** [K] from one list per trajectory that lacks its last turn. */
const withoutLast = (lists: unknown) => Float64Array.from((lists as number[][]).flatMap((own) => [...own, NONE]));

/** Differences where `keep` says so, as a share of the largest expected value. */
function deviationWhere(actual: Float64Array, expected: Float64Array, keep: (n: number) => boolean): number {
  const only = (values: Float64Array) => values.filter((_, n) => keep(n));
  expect(only(expected).length).toBeGreaterThan(0);
  return deviation(only(actual), only(expected));
}

describe.each(DEVICES)('%s', (device) => {
  describe('IGPO release', () => {
    const release = loadRelease('igpo');
    const width = release.trajectoryOffsets[1];
    const informationGain = withoutLast(release.inputs.informationGain);
    // The first return is that of position 0, discounted to it where it lies before the first turn: here part of that turn.
    const fromZero: Release = {
      ...release,
      actionMask: release.actionMask.map((loss, n) => (n % width === 0 ? 1 : loss)),
      turnIds: release.turnIds.map((id, n) => (n % width === 0 ? 0 : id)),
    };
    /** For a group of one the release leaves G_t - G_0; here it is 0. */
    const isGroup = (n: number) => release.actionMask[n] === 1 && release.groups[Math.floor(n / width)] < 3;

    test.each([
      ['discounted.gamma0.5', {}],
      ['discounted.gamma0.5.no-std', { scale: 'none' }],
      ['discounted.gamma0.9', { gamma: 0.9 }],
      ['discounted.gamma0.9.no-std', { gamma: 0.9, scale: 'none' }],
      ['discounted.gamma1.0', { gamma: 1 }],
      ['discounted.gamma1.0.no-std', { gamma: 1, scale: 'none' }],
    ] as const)('%s', (name, options) => {
      const signals = { informationGain, outcome: release.rows('outcome') };
      const actual = perToken(creditOf(fromZero, signals, igpo(options), device), fromZero);
      expect(deviationWhere(actual, expectedAdvantages(release, name), isGroup)).toBeLessThan(TOLERANCE);
    });
  });

  test('igpo by hand', () => {
    // Two trajectories: a turn of two tokens, then one of one.
    const turns = segmentTurns({ trajectoryOffsets: [0, 3, 6], turnIds: [0, 0, 1, 0, 0, 1] }, { device });
    const batch = { turns, groups: [1, 1], informationGain: [0.4, NONE, 0.2, NONE], outcome: [1, 0] };
    const { advantages } = estimateAdvantages(batch, igpo({ scale: 'none' }), { device });
    // Returns (0.2, 0.4, 1) and (0.1, 0.2, 0); the mean of the first is 0.15.
    [0.05, 0.25, 0.85, -0.05, 0.05, -0.15].forEach((x, n) => {
      expect(advantages[n]).toBeCloseTo(x, 15);
    });
  });

  describe('MT-GRPO release', () => {
    const release = loadRelease('mt-grpo');
    const { firstResultTurn, turnReward } = release.inputs as Record<string, number[]>;
    const { trajectoryOffsets, turnIds, actionMask } = release;
    const turns = segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device });
    const turnRewards = Float64Array.from(turns.index, (index, k) => {
      const m = turns.trajectory[k];
      // Without a result the release takes z(R + r): not a stage; its r still enters the statistics.
      return index <= Math.max(0, firstResultTurn[m]) ? turnReward[m] : NONE;
    });
    const hasResult = (n: number) => actionMask[n] === 1 && firstResultTurn[Math.floor(n / trajectoryOffsets[1])] >= 0;

    test.each([
      ['paper-repository.coef1.0', 1],
      ['paper-repository.coef0.5', 0.5],
    ] as const)('%s, trajectories with a tool result', (name, turnWeight) => {
      const credit = creditOf(
        release,
        { turnRewards, outcome: release.rows('outcome') },
        mtGrpo({ turnWeight }),
        device,
      );
      const expected = expectedAdvantages(release, name);
      expect(deviationWhere(perToken(credit, release), expected, hasResult)).toBeLessThan(TOLERANCE);
    });
  });

  test('mtGrpo by hand: the turn reward up to the first result', () => {
    const turns = segmentTurns({ trajectoryOffsets: [0, 2, 4], turnIds: [0, 1, 0, 1] }, { device });
    const batch = { turns, groups: [1, 1], outcome: [2, 0], turnRewards: [0, NONE, 1, 1] };
    const { advantages } = estimateAdvantages(batch, mtGrpo({ turnWeight: 0.5 }), { device });
    // Of two: ±d / (sqrt(2) d + 1e-4).
    const [outcome, turn] = [1 / (Math.SQRT2 + 1e-4), 0.5 / (Math.SQRT1_2 + 1e-4)];
    [outcome - 0.5 * turn, outcome, -outcome + 0.5 * turn, -outcome + 0.5 * turn].forEach((x, k) => {
      expect(advantages[k]).toBeCloseTo(x, 14);
    });
  });

  describe('InfoPO release', () => {
    const release = loadRelease('infopo');
    const rewards = release.inputs.turnRewards as number[][];
    // It rounds the sum of a trajectory's rewards to 4 decimals, ties to even.
    const outcome = rewards.map((own) => {
      const scaled = own.reduce((sum, x) => sum + x, 0) * 1e4;
      return (scaled % 1 === 0.5 ? 2 * Math.round(scaled / 2) : Math.round(scaled)) / 1e4;
    });
    const intrinsic = (release.inputs.turnIntrinsic as number[][]).flat().map((x) => (x === 0 ? NONE : x));
    const isGroup = (n: number) =>
      release.actionMask[n] === 1 && release.groups[Math.floor(n / release.trajectoryOffsets[1])] < 3;
    const actual = (options: InfoPoOptions) =>
      perToken(creditOf(release, { outcome, signals: { intrinsic } }, infoPo(options), device), release);

    test.each([
      ['equalized', {}],
      ['wide-gate', { beta: 1, temperature: 1 }],
      ['decay', { beta: 0.1 * Math.exp(-0.05 * 10), temperature: 0.5 }],
    ] as [string, InfoPoOptions][])('%s', (name, options) => {
      // The group of one has another gate there.
      expect(deviationWhere(actual(options), expectedAdvantages(release, name), isGroup)).toBeLessThan(TOLERANCE);
    });

    test('capped: the intrinsic part may not vary more than the outcomes do', () => {
      const base = infoPo({ temperature: 0.5 });
      const [first, second] = base.channels;
      const plain = estimator({
        ...base,
        channels: [first, { ...second, center: { kind: 'none' }, scale: { kind: 'none' } }],
      });
      const signals = { outcome, signals: { intrinsic: intrinsic.map((x) => 8 * x) } };
      const capped = perToken(creditOf(release, signals, plain, device), release);
      expect(deviationWhere(capped, expectedAdvantages(release, 'capped'), isGroup)).toBeLessThan(TOLERANCE);
    });
  });

  test('infoPo by hand: a trajectory alone keeps its outcome, and its tokens are compared with each other', () => {
    const turns = segmentTurns({ trajectoryOffsets: [0, 4], turnIds: [0, 0, 0, 1] }, { device });
    const run = (intrinsic: number[]) =>
      estimateAdvantages({ turns, groups: [1], outcome: [3], signals: { intrinsic } }, infoPo(), { device }).advantages;
    expect([...run([NONE, NONE])]).toEqual([3, 3, 3, 3]);
    // Values 1, 1, 1, 5: mean 2, sample variance 4; no deviation of outcomes: gate 1 / 2. The outcome part does not vary: z at most as 1.
    const cap = 1 / (2 / (2 + 1e-6) + 1e-6);
    const [low, high] = [-cap / (2 + 1e-6), (cap * 3) / (2 + 1e-6)];
    const { 0: first, 3: last } = run([1, 5]);
    expect(first).toBeCloseTo(3 + 0.1 * 0.5 * low, 12);
    expect(last).toBeCloseTo(3 + 0.1 * 0.5 * high, 12);
  });

  describe('HiPER release', () => {
    const { inputs, cases } = JSON.parse(
      readFileSync(new URL('../golden/releases/hiper-hae.json', import.meta.url), 'utf8'),
    );
    const { rows, L, mask, switchMask, subgoalMask, actionMask } = inputs;
    /** A trajectory per row, as there: one turn of L positions. */
    const layout = {
      trajectoryOffsets: Int32Array.from({ length: rows + 1 }, (_, m) => m * L),
      turnIds: new Int32Array(rows * L),
      actionMask: Uint8Array.from(mask.flat()),
    };
    const turns = segmentTurns(layout, { device });
    const place = (masks: number[][], values: number[], has = (_row: number) => true) =>
      Float64Array.from(masks.flatMap((own, row) => own.map((on) => (on === 1 && has(row) ? values[row] : NONE))));

    test.each([
      ['script', 'raw', true],
      ['discounted.norm', 'discounted', true],
    ] as const)('%s from the advantages of %s', (name, raw, termination) => {
      const { rowLow, rowHigh, rowTerm } = cases[raw];
      const signals = {
        action: place(actionMask, rowLow),
        // Rows that keep their subgoal have no high advantage.
        subgoal: place(subgoalMask, rowHigh, (row) => rowHigh[row] !== 0),
        switch: place(switchMask, rowTerm),
      };
      const groups = new Int32Array(rows);
      const credit = estimateAdvantages(
        { turns, trajectoryOffsets: layout.trajectoryOffsets, actionMask: layout.actionMask, groups, signals },
        hiper({ termination, statistics: 'first' }),
        { device },
      );
      const expected = Float64Array.from(cases[name].advantages.flat());
      expect(deviation(perToken(credit, layout), expected)).toBeLessThan(TOLERANCE);
    });
  });

  test('hiper by hand: each role by its own statistics, 0 outside', () => {
    const turns = segmentTurns({ trajectoryOffsets: [0, 3, 6], turnIds: [0, 0, 0, 0, 0, 0] }, { device });
    const signals = { action: [1, 1, NONE, 3, NONE, NONE], subgoal: [NONE, NONE, 5, NONE, NONE, NONE] };
    const credit = (statistics: 'first' | 'token') =>
      estimateAdvantages({ turns, groups: [0, 0], signals }, hiper({ termination: false, statistics }), { device })
        .advantages;
    // Turns: mean 2, deviation 1. Tokens 1, 1, 3: mean 5 / 3, variance 8 / 9. The subgoal is alone.
    const z = 1 / (1 + 1e-8);
    expect([...credit('first')]).toEqual([-z, -z, 0, z, 0, 0]);
    const sd = Math.sqrt(8 / 9) + 1e-8;
    [-2 / 3 / sd, -2 / 3 / sd, 0, 4 / 3 / sd, 0, 0].forEach((x, n) => {
      expect(credit('token')[n]).toBeCloseTo(x, 14);
    });
  });

  describe('SPA-RL release', () => {
    const release = loadRelease('spa-rl');
    const width = release.trajectoryOffsets[1];
    const val = release.tokens('val');
    /** Its GAE runs over observations, with value and reward 0: here they are loss tokens of the turn behind them. */
    const turnIds = release.turnIds.slice();
    for (let n = turnIds.length - 2; n >= 0; n--) {
      if (turnIds[n] < 0 && n % width !== width - 1) turnIds[n] = turnIds[n + 1];
    }
    const spanned: Release = { ...release, turnIds, actionMask: Uint8Array.from(turnIds, (id) => (id < 0 ? 0 : 1)) };
    const isLoss = (n: number) => release.actionMask[n] === 1;
    const scores = release.inputs.stepScores as number[][];
    const signals = {
      turnRewards: Float64Array.from(scores.flatMap((own) => own.map((score, k) => score * (own.length - 1 - k)))),
      values: val.map((value, n) => (isLoss(n) ? value : 0)),
    };
    const logProbs = (name: string) => Float32Array.from(release.tokens(name), (x, n) => (isLoss(n) ? x : 0));
    const returnsOf = (name: string) =>
      Float64Array.from((release.cases[name] as unknown as { returns: number[][] }).returns.flat());

    test.each([
      ['trainer.beta0.0.gamma1.0.lam0.95', {}],
      ['trainer.beta0.0.gamma0.99.lam0.9', { gamma: 0.99, lambda: 0.9 }],
      ['trainer.beta0.2.gamma0.99.lam0.9', { gamma: 0.99, lambda: 0.9, klPenalty: { coef: 0.2, estimator: 'k1' } }],
    ] as const)('%s, before whitening', (name, options) => {
      const penalty = 'klPenalty' in options ? { oldLogProbs: logProbs('lp'), refLogProbs: logProbs('ref') } : {};
      const plain = estimator({ ...spaRl(options), whiten: null });
      const actual = perToken(creditOf(spanned, { ...signals, ...penalty }, plain, device), spanned);
      const expected = returnsOf(name).map((value, n) => value - val[n]);
      expect(deviationWhere(actual, expected, isLoss)).toBeLessThan(TOLERANCE);
    });
  });

  test.each(GOLDEN_SEEDS)('spaRl, golden GAE of batch-%i: whitened', (seed) => {
    const golden = loadGolden(seed);
    const { val } = JSON.parse(readFileSync(new URL(`../golden/batch-${seed}.json`, import.meta.url), 'utf8'));
    const { trajectoryOffsets, turnIds, actionMask, groups, outcome, informationGain } = golden;
    const turns = segmentTurns({ trajectoryOffsets, turnIds, actionMask }, { device });
    // Only the last turn is rewarded, with the outcome.
    const turnRewards = informationGain.map((gain, k) => (Number.isNaN(gain) ? outcome[turns.trajectory[k]] : NONE));
    const values = Float64Array.from((val as number[][]).flat());
    const credit = estimateAdvantages({ turns, actionMask, groups, turnRewards, values }, spaRl({ gamma: 0.99 }), {
      device,
    });
    // The generator's whitening divides by n + 1e-8: with at least 100 loss tokens, up to 1e-10.
    expect(deviation(perToken(credit, golden), golden.advantages.gae.tokens)).toBeLessThan(1e-10);
  });

  describe('EPO release', () => {
    const file = loadRelease('epo');
    const cases = Object.entries(file.cases).map(([name, own]) => {
      const policyLoss = (own as unknown as { policyLoss: number }).policyLoss;
      return [name, { ...own, loss: policyLoss, old: 'old', logProbs: 'lp', advantages: 'advantages' }];
    });
    const release: Release = { ...file, cases: Object.fromEntries(cases) };

    test.each(['token-mean', 'seq-mean-token-mean'] as const)('policy part, %s', (aggregate) => {
      const name = `off.0-0.${aggregate}.c0.001`;
      // 1e-8 beside the tokens (and the rows' lengths) of the release.
      const tolerance = aggregate === 'token-mean' ? 1e-9 : 1e-8;
      expectLoss([release, name], epo({ dual: 3, entropy: null, aggregate }), device, { tolerance });
    });

    test('entropy part: -coef times the mean entropy', () => {
      const [name, coef] = ['off.0-0.token-mean.c0.001', 1e-3];
      const { loss, policyLoss, dEntropies } = file.cases[name] as unknown as {
        loss: number;
        policyLoss: number;
        dEntropies: number[][];
      };
      const entropies = file.tokens('entropies');
      const tokens = file.actionMask.reduce((sum, on) => sum + on, 0);
      const mean = entropies.reduce((sum, h, n) => sum + (file.actionMask[n] === 1 ? h : 0), 0) / tokens;
      expect(epo().entropy).toEqual({ coef });
      expect(loss - policyLoss).toBeCloseTo(-coef * mean, 10);
      const given = dEntropies.flat().filter((_, n) => file.actionMask[n] === 1);
      for (const d of given) expect(d * tokens).toBeCloseTo(-coef, 10);
    });
  });

  test('epo by hand: a uniform choice of four, ln 4 of entropy, no gradient from it', () => {
    const batch = {
      logits: new Float32Array(8),
      targets: Int32Array.of(1, 2),
      oldLogProbs: new Float32Array(2).fill(-Math.log(4)),
      advantages: [1, 1],
      advantageLevel: 'token' as const,
      trajectoryOffsets: [0, 2],
    };
    const plain = policyLossSync(batch, epo({ entropy: null }), { device });
    const bonus = policyLossSync(batch, epo(), { device });
    // Entropies and log-probs are float32.
    expect(bonus.loss - plain.loss).toBeCloseTo(-1e-3 * Math.log(4), 10);
    expect(policyLossSync(batch, epo({ entropy: { coef: 0.5 } }), { device }).loss - plain.loss).toBeCloseTo(
      -0.5 * Math.log(4),
      7,
    );
  });
});
