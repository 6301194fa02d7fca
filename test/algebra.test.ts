/** Estimators drawn from the whole algebra: cpu and reference agree, JSON changes nothing, parts add up to the whole. */
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import {
  type EstimatorInput,
  estimateAdvantages,
  estimator,
  type LogProbsBatch,
  policyLossSync,
} from '../lib/index.js';
import { batchFor, lossArraysFor, signalsFor } from './support/estimator_batch.js';
import { deviation, expectSameBits } from './support/numbers.js';
import { property, samples } from './support/property.js';
import { definitions } from './support/random_estimators.js';
import { pick, sample } from './support/sample.js';

const cases = fc.tuple(definitions, samples());
/** Dividing by the spread of nearly equal values, and by sums that cancel, magnifies the last bits of float64 by up to 1/eps. */
const TOLERANCE = 1e-9;
const RUNS = 150;

const creditOf = (definition: EstimatorInput, options: Parameters<typeof sample>[0], device: 'cpu' | 'reference') => {
  const made = estimator(definition);
  const from = sample(options);
  const penalty = made.channels.some(({ signal }) => signal.klPenalty);
  const { oldLogProbs, refLogProbs, turns, actionMask } = from;
  const logProbs = penalty ? { oldLogProbs, refLogProbs } : {};
  const input = { turns, actionMask, ...signalsFor(made, from), ...logProbs };
  return estimateAdvantages(input as never, made, { device });
};

const lossOf = (definition: EstimatorInput, options: Parameters<typeof sample>[0], device: 'cpu' | 'reference') => {
  const made = estimator(definition);
  return policyLossSync(batchFor(made, sample(options)), made, { device });
};

describe('random estimators', () => {
  property(
    'cpu = reference: credit',
    cases,
    ([definition, options]) => {
      const [actual, expected] = [creditOf(definition, options, 'cpu'), creditOf(definition, options, 'reference')];
      for (const name of ['advantages', 'clipScale', 'normalizedSignal'] as const) {
        expect(deviation(actual[name], expected[name]), name).toBeLessThan(TOLERANCE);
      }
      expect(actual.groupStats).toEqual(expected.groupStats);
      expect(actual.denominators).toEqual(expected.denominators);
    },
    RUNS,
  );

  property(
    'cpu = reference: loss, gradient, metrics',
    cases,
    ([definition, options]) => {
      const [actual, expected] = [lossOf(definition, options, 'cpu'), lossOf(definition, options, 'reference')];
      expect(Math.abs(actual.loss - expected.loss)).toBeLessThanOrEqual(
        TOLERANCE * Math.max(1, Math.abs(expected.loss)),
      );
      // The gradient is float32.
      expect(deviation(actual.grad.logProbs, expected.grad.logProbs)).toBeLessThan(1e-6);
      for (const name of ['clipFraction', 'maskedFraction', 'clampedLogRatios', 'clampedKl', 'tokens'] as const) {
        expect(actual.metrics[name], name).toBe(expected.metrics[name]);
      }
    },
    RUNS,
  );

  property(
    'JSON and back: the same estimator, the same bits',
    cases,
    ([definition, options]) => {
      const made = estimator(definition);
      const copy = estimator(JSON.parse(JSON.stringify(made)));
      expect(copy).toEqual(made);
      const [a, b] = [lossOf(made, options, 'cpu'), lossOf(copy, options, 'cpu')];
      expect(b.loss).toBe(a.loss);
      expectSameBits(b.grad.logProbs, a.grad.logProbs, 'gradient');
    },
    40,
  );

  property(
    'credit of rows shipped as JSON, and sliced into micro-batches, has the same bits',
    cases,
    ([definition, options]) => {
      const made = estimator(definition);
      const credit = creditOf(definition, options, 'cpu');
      const shipped = estimateAdvantages.fromRows(JSON.parse(JSON.stringify(credit.rows())), made, { device: 'cpu' });
      expectSameBits(shipped.advantages, credit.advantages, 'advantages');
      const from = sample(options);
      const ids = Array.from({ length: from.count }, (_, m) => m);
      const again = shipped.slice([...ids].reverse()).slice(ids);
      expectSameBits(again.advantages, credit.advantages, 'advantages, reversed and back');
      expectSameBits(again.clipScale, credit.clipScale, 'clip scales');
    },
    40,
  );

  property(
    'micro-batches with sliced credit add up to the whole',
    cases,
    ([definition, options]) => {
      const made = estimator(definition);
      const from = sample(options);
      const whole = lossOf(definition, options, 'cpu');
      const credit = creditOf(definition, options, 'cpu');
      const arrays = lossArraysFor({ ...made, channels: [] }, from);
      const sum = Array.from({ length: from.count }, (_, m) => {
        const micro = pick(from, [m]);
        const [begin, end] = [from.trajectoryOffsets[m], from.trajectoryOffsets[m + 1]];
        const own = Object.entries(arrays).map(([name, values]) => [name, (values as Float32Array).slice(begin, end)]);
        const { logProbs, turns, actionMask } = micro;
        const batch = { logProbs, turns, actionMask, ...Object.fromEntries(own), credit: credit.slice([m]) };
        const part = policyLossSync(batch as LogProbsBatch, made, { device: 'cpu' });
        expectSameBits(part.grad.logProbs, whole.grad.logProbs.slice(begin, end), `gradient of trajectory ${m}`);
        return part.loss;
      }).reduce((total, loss) => total + loss, 0);
      expect(Math.abs(sum - whole.loss)).toBeLessThanOrEqual(TOLERANCE * Math.max(1, Math.abs(whole.loss)));
    },
    60,
  );
});
