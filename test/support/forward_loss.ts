/**
 * The loss alone, float64, in the plainest words: no derivative anywhere, so that its finite differences are an oracle for gradients
 * that shares no code with them.
 */
import type { Estimator } from '../../lib/index.js';
import type { Sample } from './sample.js';

/** Log-probs of the targets, by the definition of softmax. */
export function logProbsOf(logits: Float64Array, { targets, width }: Sample, temperature: number): Float64Array {
  return Float64Array.from(targets, (target, n) => {
    const row = logits.subarray(n * width, (n + 1) * width);
    const max = row.reduce((most, z) => Math.max(most, z));
    const sum = row.reduce((total, z) => total + Math.exp((z - max) / temperature), 0);
    return (row[target] - max) / temperature - Math.log(sum);
  });
}

export interface Point {
  logProbs: Float64Array;
  /** Where straight-through keeps the value of a mean log-ratio; the log-probs themselves when no derivative is wanted. */
  anchor: Float64Array;
  /** [K] */
  advantages: ArrayLike<number>;
  clipScale: ArrayLike<number>;
}

interface Segments {
  /** Loss tokens. */
  tokens: number[];
  /** [N] turn and trajectory of a loss token. */
  turn: number[];
  sequence: number[];
  /** Loss tokens of the token's turn and trajectory. */
  sameTurn: (n: number) => number[];
  sameSequence: (n: number) => number[];
}

const known = new WeakMap<Sample, Segments>();

function segmentsOf(batch: Sample): Segments {
  const { turns, actionMask } = batch;
  const tokens = Array.from(actionMask.keys()).filter((n) => actionMask[n] === 1);
  const turn = Array.from(actionMask.keys(), (n) =>
    turns.starts.findIndex((start, k) => start <= n && n < turns.ends[k]),
  );
  const sequence = turn.map((k) => (k < 0 ? -1 : turns.trajectory[k]));
  const grouped = (of: number[]) => of.map((key) => tokens.filter((n) => of[n] === key));
  const [byTurn, bySequence] = [grouped(turn), grouped(sequence)];
  return { tokens, turn, sequence, sameTurn: (n) => byTurn[n], sameSequence: (n) => bySequence[n] };
}

/** Loss of a sample as the docs define it. */
export function forwardLoss(batch: Sample, { ratio, gate, kl, aggregate }: Estimator, point: Point): number {
  const segments = known.get(batch) ?? segmentsOf(batch);
  known.set(batch, segments);
  const { tokens, turn, sequence, sameTurn, sameSequence } = segments;
  const { oldLogProbs, refLogProbs } = batch;
  const { logProbs, anchor } = point;
  const low = ratio.clamp.low ?? Number.NEGATIVE_INFINITY;
  const high = ratio.clamp.high ?? Number.POSITIVE_INFINITY;

  const logRatio = (n: number): number => {
    if (ratio.level === 'token') return logProbs[n] - oldLogProbs[n];
    const segment = ratio.level === 'turn' ? sameTurn(n) : sameSequence(n);
    const mean = (values: Float64Array) =>
      segment.reduce((sum, t) => sum + values[t] - oldLogProbs[t], 0) / segment.length;
    return ratio.form === 'true' ? mean(logProbs) : mean(anchor) + logProbs[n] - anchor[n];
  };
  const surrogate = (n: number): number => {
    const k = turn[n];
    const a = point.advantages[k];
    const rho = Math.exp(Math.min(Math.max(logRatio(n), low), high));
    const c = point.clipScale[k];
    const clipped = Math.min(Math.max(rho, 1 - gate.low * c), 1 + gate.high * c);
    const f = Math.max(-a * rho, -a * clipped);
    return a < 0 && gate.dual !== null ? Math.min(f, -a * gate.dual) : f;
  };
  const penalty = (n: number): number => {
    if (kl === null) return 0;
    const x = logProbs[n] - refLogProbs[n];
    if (kl.estimator === 'k1') return kl.coef * x;
    if (kl.estimator !== 'k3') return (kl.coef * x * x) / 2;
    const bound = kl.logRatioClamp ?? Number.POSITIVE_INFINITY;
    const y = Math.min(Math.max(-x, -bound), bound);
    return kl.coef * Math.min(Math.expm1(y) - y, kl.valueClamp ?? Number.POSITIVE_INFINITY);
  };
  const kind = typeof aggregate === 'string' ? aggregate : aggregate.kind;
  const weight = (n: number): number => {
    if (kind === 'seq-mean-token-mean') return 1 / sameSequence(n).length;
    if (kind === 'turn-mean-token-mean') return 1 / sameTurn(n).length;
    return typeof aggregate === 'string' ? 1 : 1 / aggregate.horizon;
  };
  const numerator = tokens.reduce((sum, n) => sum + weight(n) * (surrogate(n) + penalty(n)), 0);
  if (kind === 'token-sum') return numerator;
  const counts = { 'token-mean': tokens.length, 'turn-mean-token-mean': new Set(tokens.map((n) => turn[n])).size };
  return (
    numerator / (kind in counts ? counts[kind as keyof typeof counts] : new Set(tokens.map((n) => sequence[n])).size)
  );
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
