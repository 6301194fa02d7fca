/** Where the credit of a batch comes from: a Credit, given advantages, or raw signals. */
import { checkAttached, float64, type Reals } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import type { Fields } from '../check/fields.js';
import { assignCredit } from '../credit/assign_credit.js';
import { Credit, type CreditValues } from '../credit/credit.js';
import { type Custom, checkCustom } from '../credit/custom.js';
import {
  countDenominators,
  type Denominators,
  type DenominatorsInput,
  readDenominators,
} from '../credit/denominators.js';
import { lossTokens, packSignals } from '../credit/packed.js';
import {
  type BatchSignals,
  type CreditSignals,
  checkSignals,
  type RolloutLogProbs,
  readSignals,
  signalsOnHost,
} from '../credit/signals.js';
import { type GroupStats, groupStats, turnStatisticsArgs } from '../credit/turn_statistics.js';
import { InvalidInputError } from '../errors.js';
import { creditInputs, isPerToken } from '../estimator/inputs.js';
import { adaptOf, hasClipRange } from '../estimator/stages/gate.js';
import type { Estimator } from '../estimator/types.js';
import type { Backend, TurnStatisticsArgs } from '../ops.js';
import { type Column, isOnHost, lengthOf, type OnDevice, onHost, readColumn } from '../tensor/column.js';
import type { TensorDevice } from '../tensor/tensor.js';
import type { Workspace } from '../tensor/workspace.js';
import type { BatchLayout } from './batch_layout.js';
import { keepAll } from './logits.js';

/** Where the credit comes from: exactly one of the three. */
export type CreditSource<At extends TensorDevice = 'cpu'> =
  | ({ credit?: never; advantages?: never; denominators?: DenominatorsInput | undefined } & CreditSignals<At>)
  | { credit: Credit; advantages?: never; groups?: never }
  | {
      /** [K] or [N]. */
      advantages: Reals | OnDevice<'f64', At>;
      /** Of the same length: scale of the clip range. Default 1; required where the estimator adapts it (gate.adapt). */
      clipScale?: Reals | OnDevice<'f64', At> | undefined;
      /** Of the same length: what steers the gate l1-target, which needs it. */
      ratioTargets?: Reals | OnDevice<'f64', At> | undefined;
      /** Needed only where K == N. */
      advantageLevel?: 'turn' | 'token' | undefined;
      /** Global counts; default: those of this batch. */
      denominators?: DenominatorsInput | undefined;
      credit?: never;
      groups?: never;
    };

export interface CreditInputs {
  /** To be run first; its result buffers are those below. Null: they are given. */
  statistics: TurnStatisticsArgs | null;
  level: 'turn' | 'token';
  /** [K] or [N], as the two after it. */
  advantages: Column<'f64'>;
  clipScale: Column<'f64'> | null;
  ratioTargets: Column<'f64'> | null;
  /** [M] prompts, where the gate compares trajectories. */
  groups: Column<'int32'> | null;
  /** Null: the op counts them. */
  denominators: Denominators | null;
  /** Of the phase A that made given credit. */
  groupStats: readonly GroupStats[] | null;
  /** Throws for what could not be checked before the turns were known. */
  recheck(): void;
}

export interface CreditCall {
  estimator: Estimator;
  backend: Backend;
  custom: Custom;
  memory: Workspace;
  layout: BatchLayout;
  /** N */
  tokens: number;
  logProbs: RolloutLogProbs;
  asynchronous: boolean;
}

export type Source = 'credit' | 'advantages' | 'groups';

export function sourceOf(fields: Fields): Source {
  const sources = (['credit', 'advantages', 'groups'] as const).filter((name) => fields.has(name));
  if (sources.length === 1) return sources[0];
  throw new InvalidInputError({
    code: sources.length === 0 ? 'ERR_MISSING' : 'ERR_NO_EFFECT',
    path: sources[1] ?? 'credit',
    expected: 'exactly one source of credit: credit, advantages, or raw signals with groups',
    received: sources.length === 0 ? 'none' : sources.join(' and '),
  });
}

export function readCredit(fields: Fields, source: Source, call: CreditCall): CreditInputs {
  const { custom, layout, asynchronous } = call;
  if (custom.stages.length > 0 && source !== 'groups') {
    const [path] = custom.stages;
    const expected = `no ${path}: it belongs to raw signals (or to estimateAdvantages)`;
    throw new InvalidInputError({ code: 'ERR_NO_EFFECT', path, expected, received: `a function beside ${source}` });
  }
  if (source === 'credit') return keepAll(fromCredit(fields.take('credit'), call), asynchronous);
  const counts = readCounts(fields, call);
  if (source === 'advantages') {
    const given = givenAdvantages(fields, call);
    return keepAll({ ...GIVEN, ...given, ...counts(null) }, asynchronous);
  }
  const signals = keepSignals(
    readSignals(fields, call.estimator, layout, call.tokens, call.logProbs, call.memory.at),
    asynchronous,
  );
  // What is said of turns waits until they are found.
  if (!layout.search) checkSignals(signals, call.estimator);
  const { recheck, ...counted } = counts(signals.groups);
  return {
    ...fromSignals(signals, call),
    ...counted,
    recheck() {
      if (layout.search) checkSignals(signals, call.estimator);
      recheck();
    },
  };
}

const GIVEN = { statistics: null, groupStats: null } as const;

/** The denominators, given or counted (null: by the op), and the groups where the gate compares the trajectories of a prompt. */
function readCounts(fields: Fields, { estimator, layout }: CreditCall) {
  const raw = fields.take('denominators');
  const prompts = estimator.aggregate === 'prompt-mean';
  const read = (least?: Denominators) =>
    readDenominators(raw, 'denominators', { prompts, ...(least === undefined ? {} : { least }) });
  return (groups: Column<'int32'> | null) => {
    const own = () => countDenominators(layout.turns, groups && isOnHost(groups) ? groups : null);
    const known = layout.search === null && (groups === null || isOnHost(groups));
    const denominators = raw !== undefined ? read(known ? own() : undefined) : known ? own() : null;
    const recheck = () => {
      if (raw !== undefined && !known) read(own());
    };
    return { denominators, groups: estimator.gate.kind === 'log-sum-exp' ? groups : null, recheck };
  };
}

function keepSignals(signals: BatchSignals, asynchronous: boolean): BatchSignals {
  return { ...keepAll(signals, asynchronous), arrays: keepAll(signals.arrays, asynchronous) };
}

function fromSignals(signals: BatchSignals, call: CreditCall) {
  const { estimator, backend, custom, layout } = call;
  const level = levelOf(estimator);
  // The caller's functions run here, so the statistics do as well.
  if (custom.stages.length > 0) {
    if (layout.search) {
      const [path] = custom.stages;
      const expected = `turns (from segmentTurns) beside ${path}: functions of the credit see them`;
      throw new InvalidInputError({ code: 'ERR_MISSING', path: 'turns', expected, received: 'undefined' });
    }
    const here = signalsOnHost(signals);
    checkSignals(here, estimator);
    // They see what estimateAdvantages would show them: their own copies, loss tokens alone.
    const packed = packSignals(here, creditInputs(estimator));
    const { statistics, ...values } = assignCredit(packed, estimator, backend, custom);
    const stats = groupStats(statistics, estimator);
    return { level, ...GIVEN, ...placed(values, level, call), groupStats: stats };
  }
  checkCustom(estimator, custom);
  const { args, results } = turnStatisticsArgs(signals, estimator, call.memory);
  return { level, statistics: args, ...results, groupStats: null };
}

function levelOf(estimator: Estimator): 'turn' | 'token' {
  return isPerToken(estimator) ? 'token' : 'turn';
}

function fromCredit(credit: unknown, call: CreditCall): CreditInputs {
  const { estimator, layout } = call;
  if (!(credit instanceof Credit)) {
    const expected = 'a Credit from estimateAdvantages';
    throw new InvalidInputError({ code: 'ERR_TYPE', path: 'credit', expected, received: describe(credit) });
  }
  for (const part of ['channels', 'combine', 'modulate', 'whiten', 'custom'] as const) {
    checkSamePart(part, credit.estimator[part], estimator[part]);
  }
  checkSamePart('gate.adapt', adaptOf(credit.estimator.gate), adaptOf(estimator.gate));
  const { turns } = layout;
  credit.checkTurns(turns);
  const { level, denominators, groupStats: stats, advantages, clipScale, ratioTargets } = credit;
  // They are the caller's to look at, and may have been written into.
  for (const [name, values] of Object.entries({ advantages, clipScale, ratioTargets })) {
    if (values === null) continue;
    checkAttached(values, `credit.${name}`);
    checkFinite(values, `credit.${name}`, 'a finite number');
  }
  return {
    statistics: null,
    level,
    ...placed(credit, level, call),
    groups: estimator.gate.kind === 'log-sum-exp' ? credit.groups : null,
    denominators,
    groupStats: stats,
    recheck: () => {},
  };
}

/** Credit per turn as it is; per loss token at the tokens' positions. */
function placed(
  { advantages, clipScale, ratioTargets }: Pick<CreditValues, 'advantages' | 'clipScale' | 'ratioTargets'>,
  level: 'turn' | 'token',
  { layout, tokens }: CreditCall,
) {
  const positions = level === 'token' ? lossTokens(layout.turns, onHost(layout.effectiveMask)) : null;
  const place = (values: Float64Array) => (positions ? spread(values, positions, tokens) : values);
  return {
    advantages: place(advantages),
    clipScale: place(clipScale),
    ratioTargets: ratioTargets && place(ratioTargets),
  };
}

/** [N] from the values of the loss tokens. */
function spread(values: Float64Array, positions: readonly number[], tokens: number): Float64Array {
  const result = new Float64Array(tokens);
  positions.forEach((position, i) => {
    result[position] = values[i];
  });
  return result;
}

/** Credit was assigned by another estimator's phase A: this one's would be ignored. */
function checkSamePart(path: string, made: unknown, given: unknown): void {
  // As a rule the very same data, in every micro-batch.
  if (made === given || JSON.stringify(made) === JSON.stringify(given)) return;
  throw new InvalidInputError({
    code: 'ERR_ESTIMATOR',
    path: `estimator.${path}`,
    expected: 'that of credit.estimator, which made the advantages',
    received: 'a different one',
  });
}

function givenAdvantages(fields: Fields, { estimator, layout, tokens, memory: { at } }: CreditCall) {
  const { count } = layout.turns;
  const read = (name: 'advantages' | 'clipScale' | 'ratioTargets', value: unknown, shape: string, length?: number) =>
    readColumn(value, name, { dtype: 'f64', shape, length, at }, () => float64(value, name, shape, length));
  const advantages = read('advantages', fields.take('advantages'), '[K] or [N]');
  const length = lengthOf(advantages);
  const fitsTurns = length === count;
  const fitsTokens = length === tokens;
  const rawLevel = fields.has('advantageLevel') ? fields.oneOf('advantageLevel', ['turn', 'token']) : undefined;
  const wrongLength = (expected: string): never => {
    const received = `length ${length}`;
    throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'advantages', expected, received });
  };
  if (!fitsTurns && !fitsTokens) wrongLength(`length ${count} (turns) or ${tokens} (tokens)`);
  if (rawLevel === undefined && fitsTurns && fitsTokens && tokens > 0) {
    const expected = '"turn" or "token": there are as many turns as tokens';
    throw new InvalidInputError({ code: 'ERR_MISSING', path: 'advantageLevel', expected, received: 'undefined' });
  }
  const level = rawLevel ?? (fitsTurns ? 'turn' : 'token');
  if (level === 'turn' ? !fitsTurns : !fitsTokens) {
    wrongLength(`length ${level === 'turn' ? count : tokens} (advantageLevel "${level}")`);
  }
  const { knownMask } = layout;
  const counts = (i: number) => level === 'turn' || knownMask?.[i] === 1;
  checkFinite(advantages, 'advantages', 'a finite number', counts);
  const beside = (name: 'clipScale' | 'ratioTargets', needed: string | null, unused: string | null) => {
    const value = fields.take(name);
    const reason = value === undefined ? needed : unused;
    if (reason !== null) {
      const code = value === undefined ? 'ERR_MISSING' : 'ERR_NO_EFFECT';
      throw new InvalidInputError({ code, path: name, expected: reason, received: describe(value) });
    }
    return value === undefined ? null : read(name, value, 'like advantages', length);
  };
  const { gate, name } = estimator;
  if (gate.kind === 'log-sum-exp') {
    const expected = 'credit or raw signals: the gate compares the trajectories of a prompt';
    throw new InvalidInputError({ code: 'ERR_MISSING', path: 'groups', expected, received: 'advantages alone' });
  }
  const clipScale = beside(
    'clipScale',
    adaptOf(gate) && `the clip scales beside advantages: the estimator "${name}" adapts its clip range`,
    hasClipRange(gate) ? null : `no clipScale: the gate ${gate.kind} has no clip range`,
  );
  const ratioTargets = beside(
    'ratioTargets',
    gate.kind === 'l1-target' ? 'the targets beside advantages: the gate is l1-target' : null,
    gate.kind === 'l1-target' ? null : `no ratioTargets: the gate ${gate.kind} has no target`,
  );
  if (clipScale) checkFinite(clipScale, 'clipScale', 'a finite number of at least 0', counts, 0);
  if (ratioTargets) checkFinite(ratioTargets, 'ratioTargets', 'a finite number', counts);
  return { level, advantages, clipScale, ratioTargets } as const;
}

function checkFinite(
  values: Column<'f64'>,
  path: string,
  expected: string,
  counts: (i: number) => boolean = () => true,
  least = -Infinity,
): void {
  const fetched = onHost(values);
  const at = fetched.findIndex((value, i) => counts(i) && (!Number.isFinite(value) || value < least));
  if (at < 0) return;
  const code = Number.isFinite(fetched[at]) ? 'ERR_RANGE' : 'ERR_NON_FINITE';
  throw new InvalidInputError({ code, path: `${path}[${at}]`, expected, received: String(fetched[at]) });
}
