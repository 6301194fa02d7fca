/** Which arrays of a batch the credit of an estimator is made from: the only list, for reading, slicing and shipping them. */
import { InvalidInputError } from '../errors.js';
import type { Level } from '../ops.js';
import type { Channel } from './stages/channel.js';
import { type BuiltInTerm, levelOf, nameOf, type Term } from './stages/signal.js';
import type { Estimator } from './types.js';

/** signal: reals, NaN = none. key: 32-bit integers. flag: 0 or 1. log-prob: float32. */
export type InputKind = 'signal' | 'key' | 'flag' | 'log-prob';

export interface CreditInput {
  level: Level;
  kind: InputKind;
  /** NaN is no answer here: every unit of a scored trajectory has a value. */
  complete?: boolean;
  /** What its absence means is said where it is declared (CreditSignals). */
  optional?: boolean;
}

const BUILT_IN: Readonly<Record<BuiltInTerm, string>> = {
  outcome: 'outcome',
  'turn-reward': 'turnRewards',
  'information-gain': 'informationGain',
  'token-reward': 'tokenRewards',
};

/** Arguments of estimateAdvantages and policyLoss that some estimator asks for, whether this one does or not. */
export const INPUT_NAMES = [
  ...Object.values(BUILT_IN),
  'signals',
  'keys',
  'nodes',
  'values',
  'bootstrapValues',
  'truncated',
  'baseline',
  'turnEntropies',
] as const;

/** Where a term's values are: `outcome`, `signals.format`. */
export function pathOf(term: Term): string {
  return typeof term === 'string' ? BUILT_IN[term] : `signals.${nameOf(term)}`;
}

const needed = new WeakMap<Estimator, ReadonlyMap<string, CreditInput>>();

/** The arrays that must be given, by path. @throws InvalidInputError where two stages read one array at different levels. */
export function creditInputs(estimator: Estimator): ReadonlyMap<string, CreditInput> {
  let inputs = needed.get(estimator);
  if (!inputs) {
    inputs = collect(estimator);
    needed.set(estimator, inputs);
  }
  return inputs;
}

function collect({ channels, modulate }: Estimator): Map<string, CreditInput> {
  const inputs = new Map<string, CreditInput>();
  const add = (path: string, input: CreditInput) => {
    const before = inputs.get(path);
    if (before && before.level !== input.level) {
      throw new InvalidInputError({
        code: 'ERR_ESTIMATOR',
        path: 'channels',
        expected: `one level for ${path}`,
        received: `${before.level} and ${input.level}`,
      });
    }
    inputs.set(path, { ...before, ...input });
  };
  for (const channel of channels) {
    for (const [path, input] of inputsOf(channel)) add(path, input);
  }
  if (modulate) add('turnEntropies', { level: 'turn', kind: 'signal' });
  return inputs;
}

function* inputsOf(channel: Channel): Generator<[string, CreditInput]> {
  const { signal, accumulate, group, center, then, gate } = channel;
  const entries = { level: signal.level, kind: 'signal', complete: true } as const;
  for (const term of signal.terms) yield [pathOf(term), { level: levelOf(term), kind: 'signal' }];
  const outcome = accumulate?.kind === 'discounted' && accumulate.bootstrap === 'outcome';
  if (outcome || signal.rescale || gate) yield ['outcome', { level: 'sequence', kind: 'signal' }];
  if (signal.klPenalty) {
    for (const name of ['oldLogProbs', 'refLogProbs']) yield [name, { level: 'token', kind: 'log-prob' }];
  }
  if (accumulate?.kind === 'gae') {
    yield ['values', entries];
    if (accumulate.bootstrap === 'given') yield ['bootstrapValues', { level: 'sequence', kind: 'signal' }];
    if (accumulate.bootstrap === 'carry') yield ['truncated', { level: 'sequence', kind: 'flag' }];
  }
  const trees = [accumulate, then].filter((stage) => stage?.kind === 'tree');
  if (trees.length > 0 || group.kind === 'parent') yield ['nodes', { level: 'turn', kind: 'key', optional: true }];
  if (trees.some((tree) => tree?.kind === 'tree' && tree.backup === 'child-softmax')) {
    yield ['turnEntropies', { level: 'turn', kind: 'signal' }];
  }
  if (group.kind === 'prompt-key') {
    yield [`keys.${group.key}`, { level: signal.level === 'sequence' ? 'sequence' : 'turn', kind: 'key' }];
  }
  if (center.kind === 'given') yield ['baseline', entries];
}

/** Whether credit is per token: some channel is. */
export function isPerToken({ channels }: Estimator): boolean {
  return channels.some(({ signal }) => signal.level === 'token');
}

/** Whether the credit asks where the loss tokens are: some channel or signal is per token. */
export function readsTokens(estimator: Estimator): boolean {
  return isPerToken(estimator) || [...creditInputs(estimator).values()].some(({ level }) => level === 'token');
}

/** Whether the trajectories' turns matter to credit: turns must be given. */
export function worksOnTurns(estimator: Estimator): boolean {
  const { channels, combine, modulate } = estimator;
  return (
    combine.kind === 'join' ||
    modulate !== null ||
    [...creditInputs(estimator).values()].some(({ level }) => level === 'turn') ||
    channels.some(
      ({ signal, accumulate, group, then }) =>
        signal.level === 'turn' ||
        group.kind === 'prompt-turn' ||
        then.kind === 'tree' ||
        (accumulate !== undefined && 'observation' in accumulate && accumulate.observation === 'reset'),
    )
  );
}

/** Whether a finite information gain on a last turn contradicts the estimator (that turn carries the outcome). */
export function lastTurnCarriesOutcome({ channels }: Estimator): boolean {
  return channels.some(({ signal }) => signal.lastTurn === 'outcome');
}
