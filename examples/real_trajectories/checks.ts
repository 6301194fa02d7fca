/** What the run must find, or it fails: two backends that agree, and exact zeros where a group gives no signal. */
import type { Credit, Device, Turns } from 'turnwise';
import type { Batch } from './batch.js';
import type { LanguageModel } from './language_model.js';
import { compareDevices, type Difference, largestDifference, type Rollouts } from './step.js';

export interface Verdict {
  what: string;
  difference: Difference;
  /** Largest difference that is allowed. */
  tolerance: number;
  agrees: boolean;
}

/** Phase A is float64 in both, with sums that do not depend on the order: what is left is the last place of exp and a few divisions. */
const CREDIT_TOLERANCE = 1e-12;

/**
 * Both backends round the log-prob of a token to float32. From 16 nats on its last place is 1.9e-6: two of them apart in a log-ratio, loss
 * and gradient are that far apart in proportion to their largest term. (A turn whose ratio is that near to a clip bound may go either way.)
 */
const LOG_PROB_TOLERANCE = 4e-6;

/** Advantages, clip scales, normalised signals, all turns; loss and gradient on the first micro-batches. */
export function compareBackends(
  rollouts: Rollouts,
  model: LanguageModel,
  devices: readonly [Device, Device],
  credits: readonly [Credit, Credit],
): Verdict[] {
  const { name } = credits[0].estimator;
  const judge = (what: string, difference: Difference, tolerance: number): Verdict => {
    return { what: `${name}: ${what}`, difference, tolerance, agrees: difference.largest <= tolerance };
  };
  const { loss, gradient } = compareDevices(rollouts, model, credits, devices);
  // A micro-batch's loss is a sum over its tokens, divided by the tokens of the whole batch.
  const share =
    Math.max(...rollouts.microBatches.map(({ start, end }) => end - start)) / credits[0].denominators.tokens;
  const largestAdvantage = credits[0].advantages.reduce((most, advantage) => Math.max(most, Math.abs(advantage)), 0);
  return [
    ...(['advantages', 'clipScale', 'normalizedSignal'] as const).map((field) =>
      judge(field, largestDifference(credits[0][field], credits[1][field]), CREDIT_TOLERANCE),
    ),
    judge('loss', loss, LOG_PROB_TOLERANCE * largestAdvantage * share),
    judge('gradient', gradient, LOG_PROB_TOLERANCE * gradient.magnitude),
  ];
}

export interface ConstantGroups {
  /** Tasks whose conversations all have the same outcome. */
  tasks: number;
  turns: number;
  /** Of the numbers that come from their outcome alone: all turns under GRPO, last turns under A²TGPO. */
  nonZero: number;
}

/** Where all outcomes of a task are equal, the outcome says nothing: its part of the advantage must be 0, not almost 0. */
export function checkConstantGroups(
  { groups, outcome }: Batch,
  turns: Turns,
  a2tgpo: Credit,
  grpo: Credit,
): ConstantGroups {
  const outcomes = new Map<number, Set<number>>();
  groups.forEach((group, m) => {
    outcomes.set(group, (outcomes.get(group) ?? new Set()).add(outcome[m]));
  });
  const isConstant = (m: number) => outcomes.get(groups[m])?.size === 1;
  let members = 0;
  let nonZero = 0;
  for (let k = 0; k < turns.count; k++) {
    if (!isConstant(turns.trajectory[k])) continue;
    members++;
    const last = turns.trajectory[k + 1] !== turns.trajectory[k];
    if (grpo.advantages[k] !== 0 || (last && a2tgpo.advantages[k] !== 0)) nonZero++;
  }
  return { tasks: [...outcomes.values()].filter((values) => values.size === 1).length, turns: members, nonZero };
}
