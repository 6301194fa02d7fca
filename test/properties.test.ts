/** What must not change a bit: order of trajectories, split into micro-batches, what stands in masked positions, packing, padding. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Credit, type Estimator, estimateAdvantages, policyLossSync, sumDenominators } from '../lib/index.js';
import { DEVICES } from './support/backends.js';
import { ESTIMATORS, GRPO } from './support/estimators.js';
import { expectSameBits } from './support/numbers.js';
import { property, samples } from './support/property.js';
import { random } from './support/random.js';
import { fromLogits, pick, rowsOf, type Sample, sample, signals } from './support/sample.js';

const estimators = fc.constantFrom(...Object.keys(ESTIMATORS));
const cases = fc.tuple(samples(), estimators);

/** A sum of numerators of either sign, each as exact as its terms. */
function expectClose(actual: number, expected: number, tokens: number): void {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-12 * Math.max(1, tokens, Math.abs(expected)));
}

/** Turns of trajectory m. */
function turnsOf(batch: Sample, credit: Credit, m: number): Float64Array {
  const { turns } = batch;
  const ks = Array.from(turns.trajectory.keys()).filter((k) => turns.trajectory[k] === m);
  return Float64Array.from(ks.flatMap((k) => [credit.advantages[k], credit.clipScale[k], credit.normalizedSignal[k]]));
}

describe.each(DEVICES)('%s', (device) => {
  const creditOf = (batch: Sample, estimator: Estimator) =>
    estimateAdvantages({ turns: batch.turns, ...signals(batch) }, estimator, { device });
  const run = (batch: Sample, estimator: Estimator, credit?: Credit) =>
    policyLossSync({ ...fromLogits(batch), ...(credit ? { credit } : signals(batch)) }, estimator, { device });

  property('permuting trajectories permutes the results, bit for bit', cases, ([options, name]) => {
    const estimator = ESTIMATORS[name];
    const batch = sample(options);
    const order = random(options.seed + 7).permutation(batch.count);
    const permuted = pick(batch, order);
    const [a, b] = [run(batch, estimator), run(permuted, estimator)];
    expect(b.loss).toBe(a.loss);
    expect(b.metrics).toEqual(a.metrics);
    const [creditA, creditB] = [creditOf(batch, estimator), creditOf(permuted, estimator)];
    order.forEach((m, i) => {
      expectSameBits(rowsOf(permuted, b.grad.logits, i), rowsOf(batch, a.grad.logits, m), `rows of trajectory ${m}`);
      expectSameBits(turnsOf(permuted, creditB, i), turnsOf(batch, creditA, m), `turns of trajectory ${m}`);
    });
    expect(creditB.groupStats).toEqual(creditA.groupStats);
  });

  property('micro-batches with sliced credit add up to the whole', cases, ([options, name]) => {
    const estimator = ESTIMATORS[name];
    const batch = sample(options);
    const whole = run(batch, estimator);
    const credit = creditOf(batch, estimator);
    const { integer, permutation } = random(options.seed + 8);
    const parts: number[][] = [[], [], []];
    for (const m of permutation(batch.count)) parts[integer(3)].push(m);
    let [numerator, tokens] = [0, 0];
    for (const part of parts) {
      const micro = pick(batch, part);
      const result = run(micro, estimator, credit.slice(part));
      numerator += result.metrics.lossNumerator;
      tokens += result.metrics.tokens;
      expect(result.metrics.lossDenominator).toBe(whole.metrics.lossDenominator);
      part.forEach((m, i) => {
        expectSameBits(
          rowsOf(micro, result.grad.logits, i),
          rowsOf(batch, whole.grad.logits, m),
          `rows of trajectory ${m}`,
        );
      });
    }
    expectClose(numerator, whole.metrics.lossNumerator, batch.tokens);
    expect(tokens).toBe(whole.metrics.tokens);
  });

  property('one trajectory alone has the same rows as in a batch', cases, ([options, name]) => {
    const estimator = ESTIMATORS[name];
    const batch = sample(options);
    const whole = run(batch, estimator);
    const credit = creditOf(batch, estimator);
    const m = options.seed % batch.count;
    const alone = run(pick(batch, [m]), estimator, credit.slice([m]));
    expectSameBits(alone.grad.logits, rowsOf(batch, whole.grad.logits, m).slice(), `rows of trajectory ${m}`);
  });

  property('what stands in masked positions is never read', cases, ([options, name]) => {
    const estimator = ESTIMATORS[name];
    const clean = sample(options);
    const { integer } = random(options.seed + 9);
    const dirty = {
      ...clean,
      logits: clean.logits.slice(),
      oldLogProbs: clean.oldLogProbs.slice(),
      targets: clean.targets.slice(),
    };
    const poison = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38];
    for (let n = 0; n < clean.tokens; n++) {
      if (clean.actionMask[n] === 1) continue;
      const value = poison[integer(poison.length)];
      dirty.logits.fill(value, n * clean.width, (n + 1) * clean.width);
      dirty.oldLogProbs[n] = value;
      dirty.targets[n] = -100;
    }
    const [a, b] = [run(clean, estimator), run(dirty, estimator)];
    expect(b.loss).toBe(a.loss);
    expect(b.metrics).toEqual(a.metrics);
    expectSameBits(b.grad.logits, a.grad.logits, 'grad.logits');
    expectSameBits(b.logProbs, a.logProbs, 'logProbs');
    expectSameBits(b.entropy, a.entropy, 'entropy');
  });

  property('observations between turns change nothing', cases, ([options, name]) => {
    const estimator = ESTIMATORS[name];
    const padded = sample(options);
    const { actionMask, turnIds, width } = padded;
    const keep = Array.from(actionMask.keys()).filter((n) => turnIds[n] >= 0);
    const at = (array: Float32Array) => Float32Array.from(keep, (n) => array[n]);
    const starts = keep.map((n, i) =>
      i === 0 || turnIds[keep[i - 1]] !== turnIds[n] || padded.turns.starts.includes(n) ? i : -1,
    );
    const first = Int32Array.from(starts.filter((i) => i >= 0));
    const ends = Int32Array.from(first, (_, k) => first[k + 1] ?? keep.length);
    const packed = {
      logits: Float32Array.from(keep.flatMap((n) => Array.from(padded.logits.subarray(n * width, (n + 1) * width)))),
      targets: Int32Array.from(keep, (n) => padded.targets[n]),
      oldLogProbs: at(padded.oldLogProbs),
      turns: { ...padded.turns, starts: first, ends },
      actionMask: Uint8Array.from(keep, (n) => actionMask[n]),
    };
    const a = run(padded, estimator);
    const b = policyLossSync({ ...packed, ...signals(padded) }, estimator, { device });
    expect(b.loss).toBe(a.loss);
    keep.forEach((n, i) => {
      const [from, to] = [
        a.grad.logits.subarray(n * width, (n + 1) * width),
        b.grad.logits.subarray(i * width, (i + 1) * width),
      ];
      expectSameBits(to, from, `row of token ${n}`);
    });
  });

  property('rows of any parts in any order give the credit of the whole', cases, ([options, name]) => {
    const estimator = ESTIMATORS[name];
    const batch = sample(options);
    const { integer, permutation } = random(options.seed + 10);
    const direct = creditOf(batch, estimator);
    const parts: number[][] = [[], [], []];
    for (const m of permutation(batch.count)) parts[integer(3)].push(m);
    const rows = parts.map((part) => {
      const own = pick(batch, part);
      const credit = estimateAdvantages({ turns: own.turns, ...signals(own), trajectoryIds: part }, estimator, {
        device,
      });
      return JSON.parse(JSON.stringify(credit.rows()));
    });
    // A row that is there twice, as padding makes it, counts once.
    const merged = estimateAdvantages.fromRows([rows[1], rows[2], rows[0], rows[1]], estimator, { device });
    for (const field of ['advantages', 'clipScale', 'normalizedSignal'] as const) {
      expectSameBits(merged[field], direct[field], field);
    }
    expect(merged.denominators).toEqual(direct.denominators);
    expect(merged.groupStats).toEqual(direct.groupStats);
    expect(merged.rows()).toEqual(direct.rows());
    const own = merged.slice(parts[1]);
    expectSameBits(own.advantages, direct.slice(parts[1]).advantages, 'slice of merged rows');
  });

  property('denominators of disjoint parts add up', samples(), (options) => {
    const batch = sample(options);
    const whole = creditOf(batch, ESTIMATORS.a2tgpo).denominators;
    const parts = batch.trajectories.map((_, m) => creditOf(pick(batch, [m]), ESTIMATORS.a2tgpo).denominators);
    // Every part counts its own prompt, shared or not.
    const expected = { ...whole, prompts: parts.reduce((sum, { prompts }) => sum + prompts, 0) };
    expect(sumDenominators(parts)).toEqual(expected);
    expect(sumDenominators(JSON.parse(JSON.stringify(parts)))).toEqual(expected);
    const prompts = [...new Set(batch.groups)].map((group) =>
      Array.from(batch.groups.keys()).filter((m) => batch.groups[m] === group),
    );
    expect(sumDenominators(prompts.map((ms) => creditOf(pick(batch, ms), ESTIMATORS.a2tgpo).denominators))).toEqual(
      whole,
    );
  });

  property('renaming prompts changes nothing', cases, ([options, name]) => {
    const estimator = ESTIMATORS[name];
    const batch = sample(options);
    const renamed = { ...batch, groups: batch.groups.map((group) => 1_000_003 * (2000 - group)) };
    expectSameBits(creditOf(renamed, estimator).advantages, creditOf(batch, estimator).advantages, 'advantages');
  });

  property('centred advantages of a prompt sum to 0', samples(3), (options) => {
    const batch = sample(options);
    const { groups, outcome, trajectoryOffsets } = batch;
    const credit = estimateAdvantages({ trajectoryOffsets, groups, outcome }, GRPO, { device });
    for (const group of new Set(groups)) {
      const sum = credit.advantages.reduce((total, a, m) => total + (groups[m] === group ? a : 0), 0);
      expect(Math.abs(sum)).toBeLessThan(1e-9);
    }
  });

  describe('exact zeros', () => {
    const batch = sample({ seed: 3, trajectories: 6, prompts: 2 });

    test.each(Object.keys(ESTIMATORS))('%s: constant signals of a group', (name) => {
      const constant = {
        outcome: batch.outcome.map(() => 0.7),
        informationGain: batch.informationGain.map((gain) => gain * 0 + 0.1),
      };
      const credit = creditOf({ ...batch, ...constant }, ESTIMATORS[name]);
      // Pooled or accumulated signals differ between turns even where each source is constant.
      if (/joint|turn-group$/.test(name)) return;
      expect(Array.from(credit.advantages)).toEqual(new Array(batch.turns.count).fill(0));
      const { loss, grad } = run({ ...batch, ...constant }, ESTIMATORS[name]);
      expect(loss).toBe(0);
      expect(grad.logits.every((g) => g === 0)).toBe(true);
    });

    test('groups of one', () => {
      const alone = { ...batch, groups: batch.groups.map((_, m) => m) };
      for (const name of ['a2tgpo', 'a2tgpo turn-group', 'token level']) {
        const credit = creditOf(alone, ESTIMATORS[name]);
        expect(Array.from(credit.advantages)).toEqual(new Array(batch.turns.count).fill(0));
        expect(credit.groupStats.every(({ groups, singletons }) => groups === singletons)).toBe(true);
      }
    });

    test.each(Object.keys(ESTIMATORS))('%s: everything masked', (name) => {
      const masked = { ...batch, actionMask: new Uint8Array(batch.tokens) };
      const turns = { ...batch.turns, tokens: new Int32Array(batch.turns.count) };
      const poisoned = { ...masked, turns, logits: batch.logits.map(() => Number.NaN) };
      const { loss, grad, metrics } = run(poisoned, ESTIMATORS[name]);
      expect(loss).toBe(0);
      expect(grad.logits.every((g) => Object.is(g, 0))).toBe(true);
      expect(metrics).toMatchObject({ lossNumerator: 0, lossDenominator: 0, tokens: 0, ratio: null, clipFraction: 0 });
      const numbers = Object.values(metrics).filter((value) => typeof value === 'number');
      expect(numbers.every(Number.isFinite)).toBe(true);
    });

    test('an empty batch', () => {
      const { loss, grad, metrics } = run(pick(batch, []), ESTIMATORS.a2tgpo);
      expect(loss).toBe(0);
      expect(grad.logits.length).toBe(0);
      expect(metrics.tokens).toBe(0);
    });
  });
});
