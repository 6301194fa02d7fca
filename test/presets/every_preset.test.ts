/** What must hold for every method of the registry, whatever its stages: for the paper's settings and for each release's. */
import { describe, expect, test } from 'vitest';
import { creditInputs } from '../../lib/estimator/inputs.js';
import { type Estimator, estimateAdvantages, estimator, type LogProbsBatch, policyLossSync } from '../../lib/index.js';
import { presets } from '../../lib/presets/index.js';
import { DEVICES } from '../support/backends.js';
import { batchFor, lossArraysFor, signalsFor } from '../support/estimator_batch.js';
import { deviation, expectSameBits } from '../support/numbers.js';
import { pick, type Sample, sample } from '../support/sample.js';

type Arrays = Record<string, unknown>;
type Numbers = Float64Array | Int32Array | Uint8Array | Float32Array;

const METHODS = Object.entries(presets).flatMap(([name, { make, example }]) =>
  ['paper', 'verl', 'trl'].flatMap((compat): [string, Estimator][] => {
    try {
      const made = make({ ...example, ...(compat === 'paper' ? {} : { compat }) } as never);
      // Log-probs are enough here; the entropy bonus goes through the logits (test/gradient.test.ts, test/bits.test.ts).
      return [[`${name}, ${compat}`, made.entropy ? estimator({ ...made, entropy: null }) : made]];
    } catch (error) {
      if ((error as { path?: string }).path === 'compat' || String(error).includes('unknown option "compat"'))
        return [];
      throw error;
    }
  }),
);

const SEED = 12;
const SAMPLE = sample({ seed: SEED, trajectories: 9, prompts: 2 });

test('the registry has the methods of the field', () => {
  expect(Object.keys(presets).length).toBeGreaterThanOrEqual(41);
  expect(Object.keys(presets)).toEqual([...Object.keys(presets)].sort());
});

/** The entries of some trajectories in a [M], [K] or [N] array. */
function taken(values: Numbers, level: string, trajectories: readonly number[], from: Sample): Numbers {
  const { turns, trajectoryOffsets } = from;
  const positions = trajectories.flatMap((m) => {
    if (level === 'sequence') return [m];
    if (level === 'turn') return Array.from(turns.trajectory.keys()).filter((k) => turns.trajectory[k] === m);
    return Array.from({ length: trajectoryOffsets[m + 1] - trajectoryOffsets[m] }, (_, i) => trajectoryOffsets[m] + i);
  });
  return (values.constructor as typeof Float64Array).from(positions, (i) => values[i]) as Numbers;
}

/** Signals and loss arrays of some trajectories, the same numbers as those of the whole batch. */
function arraysOf(made: Estimator, from: Sample, trajectories: readonly number[]): Arrays {
  const whole: Arrays = signalsFor(made, from, SEED);
  const result: Arrays = { groups: taken(from.groups, 'sequence', trajectories, from) };
  for (const [path, { level, kind }] of creditInputs(made)) {
    if (kind === 'log-prob') continue;
    const [record, name] = path.split('.');
    const values = name === undefined ? whole[path] : (whole[record] as Arrays)[name];
    const own = taken(values as Numbers, level, trajectories, from);
    if (name === undefined) result[path] = own;
    else result[record] = { ...(result[record] as object), [name]: own };
  }
  for (const [path, values] of Object.entries(lossArraysFor(made, from, SEED))) {
    result[path] = taken(values as Numbers, 'token', trajectories, from);
  }
  return result;
}

function batchOf(made: Estimator, trajectories: readonly number[]): LogProbsBatch {
  const { logProbs, turns, actionMask } = pick(SAMPLE, trajectories);
  return { logProbs, turns, actionMask, ...arraysOf(made, SAMPLE, trajectories) } as LogProbsBatch;
}

function tokensOf(m: number): [begin: number, end: number] {
  return [SAMPLE.trajectoryOffsets[m], SAMPLE.trajectoryOffsets[m + 1]];
}

const ALL = Array.from({ length: SAMPLE.count }, (_, m) => m);

describe.each(DEVICES)('%s', (device) => {
  const credit = (made: Estimator, trajectories = ALL) => {
    const { turns, actionMask } = pick(SAMPLE, trajectories);
    const { rolloutLogProbs: _, tokenWeights: __, ...arrays } = arraysOf(made, SAMPLE, trajectories) as Arrays;
    const penalty = [...creditInputs(made).values()].some(({ kind }) => kind === 'log-prob');
    const { oldLogProbs, refLogProbs, ...signals } = arrays;
    const input = { turns, actionMask, ...signals, ...(penalty ? { oldLogProbs, refLogProbs } : {}) };
    return estimateAdvantages(input as never, made, { device });
  };
  const loss = (made: Estimator, trajectories = ALL) => policyLossSync(batchOf(made, trajectories), made, { device });

  describe.each(METHODS)('%s', (_, made) => {
    test('is data: JSON and back gives the same bits', () => {
      const copy = estimator(JSON.parse(JSON.stringify(made)));
      expect(copy).toEqual(made);
      expectSameBits(loss(copy).grad.logProbs, loss(made).grad.logProbs, 'gradient');
    });

    test('trajectories in another order: the same bits', () => {
      const order = [4, 0, 8, 2, 6, 1, 7, 3, 5];
      const [a, b] = [loss(made), loss(made, order)];
      expect(b.loss).toBe(a.loss);
      let at = 0;
      for (const m of order) {
        const [begin, end] = tokensOf(m);
        const moved = b.grad.logProbs.slice(at, at + end - begin);
        expectSameBits(moved, a.grad.logProbs.slice(begin, end), `gradient of trajectory ${m}`);
        at += end - begin;
      }
    });

    test('credit first, then micro-batches of one prompt: the gradients of the whole, bit for bit', () => {
      const whole = loss(made);
      const assigned = credit(made);
      let sum = 0;
      for (const group of new Set(SAMPLE.groups)) {
        const own = ALL.filter((m) => SAMPLE.groups[m] === group);
        const { logProbs, turns, actionMask } = pick(SAMPLE, own);
        const arrays = lossArraysFor({ ...made, channels: [] }, SAMPLE, SEED);
        const tokens = Object.entries(arrays).map(([path, values]) => [
          path,
          taken(values as Numbers, 'token', own, SAMPLE),
        ]);
        const batch = { logProbs, turns, actionMask, ...Object.fromEntries(tokens), credit: assigned.slice(own) };
        const part = policyLossSync(batch as LogProbsBatch, made, { device });
        const expected = taken(whole.grad.logProbs, 'token', own, SAMPLE) as Float32Array;
        expectSameBits(part.grad.logProbs, expected, `gradient of prompt ${group}`);
        sum += part.loss;
      }
      // Sums of either sign, each as exact as its terms.
      expect(Math.abs(sum - whole.loss)).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(whole.loss)));
    });

    test('on-policy every gate and ratio has the gradient -w A of its unit', () => {
      if (made.gate.kind === 'l1-target' || made.gate.kind === 'log-sum-exp') return;
      const old = SAMPLE.oldLogProbs;
      const plain = estimator({
        ...made,
        name: 'plain',
        ratio: { level: 'token' },
        gate: { kind: 'none' },
        weights: [],
        kl: null,
      });
      const own = estimator({ ...made, weights: [], kl: null });
      const onPolicy = (one: Estimator, advantages: Float64Array) => {
        const { turns, actionMask } = SAMPLE;
        const clipScale = 'adapt' in one.gate && one.gate.adapt ? { clipScale: advantages.map(() => 1) } : {};
        const sampled = one.ratio.denominator === 'rollout' ? { rolloutLogProbs: old } : { oldLogProbs: old };
        const batch = {
          logProbs: old,
          ...sampled,
          turns,
          actionMask,
          advantages,
          ...clipScale,
          advantageLevel: 'token' as const,
        };
        return policyLossSync(batch as LogProbsBatch, one, { device });
      };
      const advantages = Float64Array.from({ length: SAMPLE.tokens }, (_, n) => Math.sin(n));
      const [a, b] = [onPolicy(plain, advantages), onPolicy(own, advantages)];
      expect(b.metrics).toMatchObject({ clipFraction: 0, ratio: { min: 1, mean: 1, max: 1 } });
      expect(deviation(b.grad.logProbs, gathered(a.grad.logProbs, own))).toBeLessThan(1e-6); // the gradients are float32
    });

    test('raw signals in one call = credit first', () => {
      const direct = loss(made);
      const { logProbs, turns, actionMask } = SAMPLE;
      const arrays = lossArraysFor({ ...made, channels: [] }, SAMPLE, SEED);
      const batch = { logProbs, turns, actionMask, ...arrays, credit: credit(made) } as LogProbsBatch;
      const apart = policyLossSync(batch, made, { device });
      expect(apart.loss).toBe(direct.loss);
      expectSameBits(apart.grad.logProbs, direct.grad.logProbs, 'gradient');
    });
  });

  test.each(['rloo', 'trloo'])('%s: what a group gains the others lose', (name) => {
    const made = presets[name].make(undefined as never);
    const { advantages } = credit(made);
    const sums = new Map<string, number>();
    SAMPLE.turns.trajectory.forEach((m, k) => {
      const perTurn = made.channels[0].group.kind === 'prompt-turn';
      if (!perTurn && SAMPLE.turns.index[k] !== SAMPLE.turns.index[SAMPLE.turns.trajectory.indexOf(m)]) return;
      const key = `${SAMPLE.groups[m]} ${perTurn ? SAMPLE.turns.index[k] : ''}`;
      sums.set(key, (sums.get(key) ?? 0) + advantages[k]);
    });
    for (const [key, sum] of sums) expect(Math.abs(sum), key).toBeLessThan(1e-14);
    expect(Math.max(...advantages.map(Math.abs))).toBeGreaterThan(0.1);
  });
});

/** Gradients of the token ratio, gathered over the unit as the ratio's form says. A detached weight leaves every token its own. */
function gathered(gradient: Float32Array, { ratio, gate }: Estimator): Float64Array {
  const own = Float64Array.from(gradient);
  const detached = gate.kind === 'detached' || gate.kind === 'gamma';
  if (ratio.level === 'token' || ratio.form === 'straight-through' || detached) return own;
  const { turns, actionMask } = SAMPLE;
  const unitOf = (k: number) => (ratio.level === 'turn' ? k : turns.trajectory[k]);
  const units = new Map<number, number[]>();
  for (let k = 0; k < turns.count; k++) {
    const tokens = units.get(unitOf(k)) ?? [];
    for (let n = turns.starts[k]; n < turns.ends[k]; n++) if (actionMask[n] === 1) tokens.push(n);
    units.set(unitOf(k), tokens);
  }
  for (const tokens of units.values()) {
    const sum = tokens.reduce((total, n) => total + gradient[n], 0);
    for (const n of tokens) own[n] = ratio.reduce === 'sum' ? sum : sum / tokens.length;
  }
  return own;
}

test('the whole batch of any method can be made up', () => {
  for (const [, made] of METHODS) expect(batchFor(made, SAMPLE)).toHaveProperty('groups');
});
