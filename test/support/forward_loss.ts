/**
 * The loss alone, float64, in the plainest words: no derivative anywhere, so that its finite differences are an oracle
 * for gradients that shares no code with them.
 */
import { lossPlan } from '../../lib/estimator/plan.js';
import type { Estimator } from '../../lib/index.js';
import type { Level, Reduce, SurrogateArgs, TurnsArgs, WeightArgs } from '../../lib/ops.js';
import { clamp, type Fixed, FORWARD_GATES, forwardKl, type Here } from './forward_gates.js';
import { LOSS_INPUTS } from './records.mjs';
import type { Sample } from './sample.js';

/** Log-probs of the targets, by the definition of softmax. */
export function logProbsOf(
  logits: Float64Array,
  { targets, width }: Pick<Sample, 'targets' | 'width'>,
  temperature: number,
): Float64Array {
  return Float64Array.from(targets, (target, n) => {
    const row = logits.subarray(n * width, (n + 1) * width);
    const max = row.reduce((most, z) => Math.max(most, z));
    const sum = row.reduce((total, z) => total + Math.exp((z - max) / temperature), 0);
    return (row[target] - max) / temperature - Math.log(sum);
  });
}

/** Entropy of every row, by its definition. */
export function entropiesOf(logits: Float64Array, width: number, temperature: number): Float64Array {
  return Float64Array.from({ length: logits.length / width }, (_, n) => {
    const row = logits.subarray(n * width, (n + 1) * width).map((z) => z / temperature);
    const max = row.reduce((most, z) => Math.max(most, z));
    const total = row.reduce((sum, z) => sum + Math.exp(z - max), 0);
    const p = row.map((z) => Math.exp(z - max) / total);
    return p.reduce((sum, x) => sum - x * Math.log(x), 0);
  });
}

/** What the loss reads beside the point: a record of the op, or what an estimator says. */
export type LossRecord = Pick<
  SurrogateArgs,
  | 'oldLogProbs'
  | 'refLogProbs'
  | 'rolloutLogProbs'
  | 'tokenWeights'
  | 'actionMask'
  | 'groups'
  | 'advantageLevel'
  | 'ratio'
  | 'gate'
  | 'weights'
  | 'kl'
  | 'entropyCoef'
  | 'aggregate'
  | 'horizon'
> & {
  turns: Pick<TurnsArgs, 'starts' | 'ends' | 'trajectory'>;
  advantages: ArrayLike<number>;
  clipScale: ArrayLike<number> | null;
  ratioTargets: ArrayLike<number> | null;
};

export interface Point {
  logProbs: Float64Array;
  /** Where everything that is not differentiated is taken; the log-probs themselves when no derivative is wanted. */
  anchor: Float64Array;
  entropy?: ArrayLike<number> | null;
}

interface Units {
  /** Loss tokens. */
  tokens: number[];
  /** [N] turn and trajectory of a loss token. */
  turn: number[];
  sequence: number[];
  /** Loss tokens of the token's unit. */
  unit: (n: number, level: Level) => number[];
}

const known = new WeakMap<Uint8Array, Units>();

function unitsOf({ turns, actionMask }: LossRecord): Units {
  const tokens: number[] = [];
  const turn: number[] = new Array(actionMask.length).fill(-1);
  turns.starts.forEach((start, k) => {
    for (let n = start; n < turns.ends[k]; n++) {
      if (actionMask[n] !== 1) continue;
      tokens.push(n);
      turn[n] = k;
    }
  });
  const sequence = turn.map((k) => (k < 0 ? -1 : turns.trajectory[k]));
  const grouped = (of: number[]) => of.map((key) => tokens.filter((n) => of[n] === key));
  const lists = { turn: grouped(turn), sequence: grouped(sequence) };
  return { tokens, turn, sequence, unit: (n, level) => (level === 'token' ? [n] : lists[level][n]) };
}

const reduced = (values: number[], reduce: Reduce) => {
  if (reduce === 'max') return Math.max(...values);
  const sum = values.reduce((a, b) => a + b, 0);
  return reduce === 'sum' ? sum : sum / values.length;
};

const advantageOf = ({ advantageLevel, advantages }: LossRecord, turn: number[], n: number) =>
  advantages[advantageLevel === 'turn' ? turn[n] : n];

/** Loss of op records as the docs define it; the denominators are those of the batch itself. */
export function surrogateLoss(record: LossRecord, point: Point): number {
  const units = known.get(record.actionMask) ?? unitsOf(record);
  known.set(record.actionMask, units);
  const { tokens, turn, unit, sequence } = units;
  const { ratio, gate, kl, aggregate, oldLogProbs, refLogProbs } = record;
  const at = (n: number) => (record.advantageLevel === 'turn' ? turn[n] : n);
  const advantage = (n: number) => advantageOf(record, turn, n);

  /** Log-ratio of a token as it enters the reduction. */
  const y = (logProbs: Float64Array, n: number) => {
    const d = clamp(logProbs[n] - oldLogProbs[n], -ratio.tokenClamp, ratio.tokenClamp);
    if (advantage(n) < 0) return Math.max(d, -ratio.clipLow);
    return advantage(n) > 0 ? Math.min(d, ratio.clipHigh) : d;
  };
  const reduction = (logProbs: Float64Array, n: number) => {
    const values = unit(n, ratio.level).map((t) => y(logProbs, t));
    return ratio.level === 'token' ? values[0] : reduced(values, ratio.reduce);
  };
  const here = (logProbs: Float64Array, n: number): Here => {
    const free =
      ratio.form === 'true' ? reduction(logProbs, n) : reduction(point.anchor, n) + y(logProbs, n) - y(point.anchor, n);
    return { logProb: logProbs[n], free, x: clamp(free, ratio.clampLow, ratio.clampHigh) };
  };
  const surrogate = (n: number): number => {
    if (gate.kind === 'log-sum-exp') return 0;
    const fixed: Fixed = {
      a: advantage(n),
      old: oldLogProbs[n],
      c: record.clipScale?.[at(n)] ?? 1,
      u: record.ratioTargets?.[at(n)] ?? 0,
    };
    const w = record.weights.reduce((product, weight) => product * factor(record, units, weight, point.anchor, n), 1);
    return w * FORWARD_GATES[gate.kind](gate, fixed, here(point.logProbs, n), here(point.anchor, n));
  };
  const penalty = (n: number): number => {
    if (kl.coef === 0 || refLogProbs === null) return 0;
    const value = forwardKl(kl, point.logProbs[n] - refLogProbs[n], point.anchor[n] - refLogProbs[n]);
    return kl.coef * value * (kl.ratioCorrection ? Math.exp(here(point.logProbs, n).x) : 1);
  };
  const bonus = (n: number) => (record.entropyCoef === 0 ? 0 : record.entropyCoef * (point.entropy?.[n] ?? Number.NaN));
  const c = (n: number): number => {
    if (aggregate === 'seq-mean-token-mean') return 1 / unit(n, 'sequence').length;
    if (aggregate === 'turn-mean-token-mean') return 1 / unit(n, 'turn').length;
    return aggregate === 'seq-mean-token-sum-norm' ? 1 / record.horizon : 1;
  };
  const terms = tokens.reduce((sum, n) => sum + c(n) * (surrogate(n) + penalty(n) - bonus(n)), 0);
  const coupled = gate.kind === 'log-sum-exp' ? coupledLoss(record, units, (n) => here(point.logProbs, n).x) : 0;

  const count = (of: (n: number) => number) => new Set(tokens.map(of)).size;
  const denominator = {
    'token-mean': tokens.length,
    'token-sum': 1,
    'turn-mean-token-mean': count((n) => turn[n]),
    'prompt-mean': count((n) => record.groups?.[sequence[n]] ?? sequence[n]),
    'seq-mean-token-mean': count((n) => sequence[n]),
    'seq-mean-token-sum': count((n) => sequence[n]),
    'seq-mean-token-sum-norm': count((n) => sequence[n]),
  }[aggregate];
  return (coupled + terms) / denominator;
}

/** One weight of token n; the log-probs it reads are never moved. */
function factor(
  record: LossRecord,
  { unit, turn }: Units,
  weight: WeightArgs,
  anchor: Float64Array,
  n: number,
): number {
  const { low, high, logClamp } = weight;
  const isInside = (x: number) => x >= low && x <= high;
  const r = (t: number) => record.oldLogProbs[t] - (record.rolloutLogProbs?.[t] ?? Number.NaN);
  const over = (of: (t: number) => number) =>
    weight.level === 'token' ? of(n) : reduced(unit(n, weight.level).map(of), weight.reduce);
  switch (weight.kind) {
    case 'given':
      return record.tokenWeights?.[n] ?? Number.NaN;
    case 'importance': {
      const u = Math.exp(clamp(over(r), -logClamp, logClamp));
      return weight.mode === 'truncate' ? clamp(u, low, high) : isInside(u) ? u : 0;
    }
    case 'reject': {
      const statistic = over((t) => {
        const x = clamp(r(t), -logClamp, logClamp);
        return { k1: -x, k2: x ** 2 / 2, k3: Math.exp(x) - 1 - x, abs: Math.abs(x) }[weight.divergence];
      });
      return isInside(statistic) ? 1 : 0;
    }
    case 'off-policy-mask': {
      const left = reduced(
        unit(n, 'sequence').map((t) => record.oldLogProbs[t] - anchor[t]),
        'mean',
      );
      return advantageOf(record, turn, n) < 0 && left > high ? 0 : 1;
    }
  }
}

/** Σ over prompts of log(1 + Σ_neg exp(x/T)) + log(1 + Σ_pos exp(-x/T)). */
function coupledLoss(record: LossRecord, { tokens, sequence, turn }: Units, x: (n: number) => number): number {
  const firsts = tokens.filter((n, i) => i === 0 || sequence[n] !== sequence[tokens[i - 1]]);
  const promptOf = (n: number) => record.groups?.[sequence[n]];
  let loss = 0;
  for (const prompt of new Set(firsts.map(promptOf))) {
    const sum = (sign: 1 | -1) => {
      const isOwn = (n: number) => promptOf(n) === prompt && Math.sign(advantageOf(record, turn, n)) === sign;
      const members = firsts.filter(isOwn);
      return members.reduce((total, n) => total + Math.exp((-sign * x(n)) / record.gate.temperature), 0);
    };
    const [positive, negative] = [sum(1), sum(-1)];
    if (positive > 0 && negative > 0) loss += Math.log(1 + positive) + Math.log(1 + negative);
  }
  return loss;
}

/** Loss of a sample under an estimator. */
export function forwardLoss(
  batch: Sample,
  estimator: Estimator,
  point: Point & { advantages: ArrayLike<number>; clipScale: ArrayLike<number> },
): number {
  const { oldLogProbs, refLogProbs, actionMask, turns } = batch;
  const { advantages, clipScale } = point;
  const given = { oldLogProbs, refLogProbs, actionMask, turns, advantages, clipScale, advantageLevel: 'turn' as const };
  return surrogateLoss({ ...LOSS_INPUTS, ...given, ...lossPlan(estimator) }, point);
}

/** Central differences of f at every i in `at`. Step 2^-17: truncation and cancellation both near 1e-10. */
export function finiteDifferences(
  f: (x: Float64Array) => number,
  x: Float64Array,
  at: readonly number[],
): Float64Array {
  const step = 2 ** -17;
  return Float64Array.from(at, (i) => {
    const moved = x.slice();
    moved[i] = x[i] + step;
    const above = f(moved);
    moved[i] = x[i] - step;
    return (above - f(moved)) / (2 * step);
  });
}
