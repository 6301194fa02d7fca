import { checkAttached } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import type { Estimator } from '../estimator/estimator.js';
import { countDenominators, type Denominators } from './denominators.js';
import { type CreditRows, SIGNAL_NAMES } from './rows.js';
import type { Signals } from './signals.js';
import type { GroupStats } from './turn_statistics.js';

/** Ids of trajectories: integers, not necessarily 32-bit. */
export type TrajectoryIds = readonly number[] | Int32Array | Float64Array;

export interface SliceOptions {
  /** Default 'keep'. */
  denominators?: 'keep' | 'own' | undefined;
}

interface Parts {
  estimator: Estimator;
  signals: Signals;
  trajectoryIds: Float64Array;
  advantages: Float64Array;
  clipScale: Float64Array;
  normalizedSignal: Float64Array;
  denominators: Denominators;
  groupStats: readonly GroupStats[];
}

/**
 * The result of credit assignment: one advantage and one clip scale per turn, and the global denominators that every
 * micro-batch of this batch must use.
 */
export class Credit {
  readonly estimator: Estimator;
  /** [K] */
  readonly advantages: Float64Array;
  /** [K] scale of the clip range; 1 where the estimator does not adapt it. */
  readonly clipScale: Float64Array;
  /** [K] the normalised signal of the channel that the estimator adapts by (else its first turn-level channel); NaN = none. */
  readonly normalizedSignal: Float64Array;
  readonly denominators: Denominators;
  /** One entry per channel. */
  readonly groupStats: readonly GroupStats[];
  readonly #signals: Signals;
  readonly #trajectoryIds: Float64Array;
  // Made when first needed: a loop over micro-batches would otherwise make them each time.
  #positions: Map<number, number> | undefined;
  #firstTurn: Int32Array | undefined;

  /** @internal Use estimateAdvantages. */
  constructor(parts: Parts) {
    this.estimator = parts.estimator;
    this.advantages = parts.advantages;
    this.clipScale = parts.clipScale;
    this.normalizedSignal = parts.normalizedSignal;
    this.denominators = parts.denominators;
    this.groupStats = parts.groupStats;
    this.#signals = parts.signals;
    this.#trajectoryIds = parts.trajectoryIds;
    Object.freeze(this);
  }

  /** K. */
  get count(): number {
    return this.advantages.length;
  }

  /** [M] id of each trajectory: its position, unless `trajectoryIds` were given. */
  get trajectoryIds(): Float64Array {
    return this.#trajectoryIds.slice();
  }

  /**
   * The credit of some trajectories, in the order given.
   *
   * By default it keeps the denominators: a micro-batch, whose gradients add up to that of the whole. With `denominators: 'own'` it counts its own
   * tokens, turns and sequences: a mini-batch, which gets an optimiser step for itself (and can be sliced again into micro-batches).
   * @param trajectories trajectory ids (positions in the batch, unless `trajectoryIds` were given).
   */
  slice(trajectories: TrajectoryIds, options: SliceOptions = {}): Credit {
    const fields = new Fields(options, 'options');
    const own = fields.oneOf('denominators', ['keep', 'own'], 'keep') === 'own';
    fields.end();
    const picked = this.#positionsOf(trajectories);
    const { turns, groups, outcome, turnRewards, informationGain } = this.#signals;
    const first = this.#first();
    const kept: number[] = [];
    const newTrajectory: number[] = [];
    for (const [i, m] of picked.entries()) {
      for (let k = first[m]; k < first[m + 1]; k++) {
        kept.push(k);
        newTrajectory.push(i);
      }
    }
    const ofTurns = (values: Float64Array) => Float64Array.from(kept, (k) => values[k]);
    const ofTurnsInt = (values: Int32Array) => Int32Array.from(kept, (k) => values[k]);
    const ofTrajectories = (values: Float64Array) => Float64Array.from(picked, (m) => values[m]);
    const slicedTurns: Turns = {
      count: kept.length,
      starts: ofTurnsInt(turns.starts),
      ends: ofTurnsInt(turns.ends),
      tokens: ofTurnsInt(turns.tokens),
      trajectory: Int32Array.from(newTrajectory),
      index: ofTurnsInt(turns.index),
    };
    return new Credit({
      estimator: this.estimator,
      signals: {
        turns: slicedTurns,
        groups: Int32Array.from(picked, (m) => groups[m]),
        outcome: outcome && ofTrajectories(outcome),
        turnRewards: turnRewards && ofTurns(turnRewards),
        informationGain: informationGain && ofTurns(informationGain),
      },
      trajectoryIds: ofTrajectories(this.#trajectoryIds),
      advantages: ofTurns(this.advantages),
      clipScale: ofTurns(this.clipScale),
      normalizedSignal: ofTurns(this.normalizedSignal),
      denominators: own ? countDenominators(slicedTurns) : this.denominators,
      groupStats: this.groupStats,
    });
  }

  #first(): Int32Array {
    this.#firstTurn ??= firstTurns(this.#signals.turns, this.#trajectoryIds.length);
    return this.#firstTurn;
  }

  #positionsOf(trajectories: TrajectoryIds): number[] {
    if (!(Array.isArray(trajectories) || trajectories instanceof Int32Array || trajectories instanceof Float64Array)) {
      const expected = 'an array, Int32Array or Float64Array of trajectory ids';
      const received = describe(trajectories);
      throw new InvalidInputError({ code: 'ERR_TYPE', path: 'trajectories', expected, received });
    }
    if (ArrayBuffer.isView(trajectories)) checkAttached(trajectories, 'trajectories');
    this.#positions ??= new Map(Array.from(this.#trajectoryIds, (id, m) => [id, m]));
    const positions = this.#positions;
    const seen = new Set<number>();
    return Array.from(trajectories as ArrayLike<number>, (id, i) => {
      const m = positions.get(id);
      if (m === undefined || seen.has(m)) {
        throw new InvalidInputError({
          code: 'ERR_RANGE',
          path: `trajectories[${i}]`,
          expected: m === undefined ? `the id of one of the ${positions.size} trajectories` : 'each trajectory once',
          received: String(id),
        });
      }
      seen.add(m);
      return m;
    });
  }

  /**
   * The raw signals as plain data (JSON, structuredClone): gather those of all ranks and give them to
   * `estimateAdvantages.fromRows`, which yields the same bits for any number of parts in any order.
   */
  rows(): CreditRows {
    const { turns, groups, outcome, turnRewards, informationGain } = this.#signals;
    const plain = (values: Float64Array | undefined) =>
      values ? Array.from(values, (value) => (Number.isNaN(value) ? null : value)) : null;
    const first = this.#first();
    return {
      version: 1,
      signals: SIGNAL_NAMES.filter((name) => this.#signals[name] !== null),
      trajectories: Array.from(groups, (group, m) => ({
        id: this.#trajectoryIds[m],
        group,
        outcome: outcome && (Number.isNaN(outcome[m]) ? null : outcome[m]),
        index: Array.from(turns.index.subarray(first[m], first[m + 1])),
        tokens: Array.from(turns.tokens.subarray(first[m], first[m + 1])),
        turnRewards: plain(turnRewards?.subarray(first[m], first[m + 1])),
        informationGain: plain(informationGain?.subarray(first[m], first[m + 1])),
      })),
    };
  }

  /**
   * Whether a batch's turns are the ones this credit was made for: the same trajectories' shapes, turn by turn.
   * @internal
   */
  checkTurns(turns: Turns): void {
    const mine = this.#signals.turns;
    if (turns.count !== mine.count) {
      const expected = `${mine.count} turns (the credit's)`;
      const hint = 'Use credit.slice(trajectories) for a micro-batch';
      const received = String(turns.count);
      throw new InvalidInputError({ code: 'ERR_LENGTH', path: 'turns.count', expected, received, hint });
    }
    for (const name of ['trajectory', 'index', 'tokens'] as const) {
      for (let k = 0; k < turns.count; k++) {
        if (turns[name][k] === mine[name][k]) continue;
        const expected = `${mine[name][k]} (the credit's turn ${k})`;
        const received = String(turns[name][k]);
        throw new InvalidInputError({ code: 'ERR_TURNS', path: `turns.${name}[${k}]`, expected, received });
      }
    }
  }
}

/** [M+1] first turn of each trajectory, K at the end. */
function firstTurns(turns: Turns, trajectories: number): Int32Array {
  const first = new Int32Array(trajectories + 1);
  for (let k = 0; k < turns.count; k++) first[turns.trajectory[k] + 1]++;
  for (let m = 0; m < trajectories; m++) first[m + 1] += first[m];
  return first;
}
