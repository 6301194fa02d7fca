import { checkAttached, pick } from '../check/arrays.js';
import { describe } from '../check/describe.js';
import { Fields } from '../check/fields.js';
import type { Turns } from '../data/turns.js';
import { InvalidInputError } from '../errors.js';
import { creditInputs } from '../estimator/inputs.js';
import type { Estimator } from '../estimator/types.js';
import { countDenominators, type Denominators } from './denominators.js';
import { firstTurns, packedEnds, pickSignals, pickTrajectories } from './packed.js';
import { type CreditRows, rowsOf } from './rows.js';
import type { Signals } from './signals.js';
import type { GroupStats } from './turn_statistics.js';

/** Ids of trajectories: integers, not necessarily 32-bit. */
export type TrajectoryIds = readonly number[] | Int32Array | Float64Array;

export interface SliceOptions {
  /** Default 'keep'. */
  denominators?: 'keep' | 'own' | undefined;
}

/** What credit assignment found, per turn or per loss token. */
export interface CreditValues {
  advantages: Float64Array;
  clipScale: Float64Array;
  ratioTargets: Float64Array | null;
  normalizedSignal: Float64Array;
}

interface Parts extends CreditValues {
  estimator: Estimator;
  level: 'turn' | 'token';
  signals: Signals;
  trajectoryIds: Float64Array;
  denominators: Denominators;
  groupStats: readonly GroupStats[];
}

/**
 * The result of credit assignment: an advantage and a clip scale per turn (or loss token), and the global denominators that every
 * micro-batch of this batch must use.
 */
export class Credit {
  readonly estimator: Estimator;
  /** What the arrays below have an entry for: turns, or loss tokens (those outside the loss are left out) where a channel is per token. */
  readonly level: 'turn' | 'token';
  readonly advantages: Float64Array;
  /** Scale of the clip range; 1 where the estimator does not adapt it. */
  readonly clipScale: Float64Array;
  /** What steers the gate l1-target; null without it. */
  readonly ratioTargets: Float64Array | null;
  /** The normalised signal of the channel that the estimator adapts by (else its first one finer than a trajectory); NaN = none. */
  readonly normalizedSignal: Float64Array;
  readonly denominators: Denominators;
  /** One entry per channel. */
  readonly groupStats: readonly GroupStats[];
  readonly #signals: Signals;
  readonly #trajectoryIds: Float64Array;
  // Made when first needed: a loop over micro-batches would otherwise make them each time.
  #positions: Map<number, number> | undefined;
  #firstTurn: Int32Array | undefined;
  #packedEnds: Int32Array | undefined;

  /** @internal Use estimateAdvantages. */
  constructor(parts: Parts) {
    this.estimator = parts.estimator;
    this.level = parts.level;
    this.advantages = parts.advantages;
    this.clipScale = parts.clipScale;
    this.ratioTargets = parts.ratioTargets;
    this.normalizedSignal = parts.normalizedSignal;
    this.denominators = parts.denominators;
    this.groupStats = parts.groupStats;
    this.#signals = parts.signals;
    this.#trajectoryIds = parts.trajectoryIds;
    Object.freeze(this);
  }

  /** Turns or loss tokens. */
  get count(): number {
    return this.advantages.length;
  }

  /** [M] id of each trajectory: its position, unless `trajectoryIds` were given. */
  get trajectoryIds(): Float64Array {
    return this.#trajectoryIds.slice();
  }

  /** [M] prompt id of each trajectory. @internal */
  get groups(): Int32Array {
    return this.#signals.groups.slice();
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
    const kept = this.#positionsOf(trajectories);
    if (this.estimator.gate.kind === 'log-sum-exp') this.#checkWholePrompts(kept);
    this.#packedEnds ??= packedEnds(this.#signals.turns);
    const picked = pickTrajectories(this.#signals.turns, this.#first(), this.#packedEnds, kept);
    const signals = pickSignals(this.#signals, picked, creditInputs(this.estimator));
    const values = picked.positions[this.level];
    return new Credit({
      estimator: this.estimator,
      level: this.level,
      signals,
      trajectoryIds: pick(this.#trajectoryIds, kept),
      advantages: pick(this.advantages, values),
      clipScale: pick(this.clipScale, values),
      ratioTargets: this.ratioTargets && pick(this.ratioTargets, values),
      normalizedSignal: pick(this.normalizedSignal, values),
      denominators: own ? countDenominators(signals.turns, signals.groups) : this.denominators,
      groupStats: this.groupStats,
    });
  }

  /** Trajectories of a prompt have one loss together: half of them would have another one, or none. */
  #checkWholePrompts(kept: readonly number[]): void {
    const { groups } = this.#signals;
    const picked = new Set(kept);
    const prompts = new Set(kept.map((m) => groups[m]));
    const left = groups.findIndex((group, m) => prompts.has(group) && !picked.has(m));
    if (left < 0) return;
    throw new InvalidInputError({
      code: 'ERR_RANGE',
      path: 'trajectories',
      expected: `all trajectories of prompt ${groups[left]} (the gate log-sum-exp compares them)`,
      received: `a slice without trajectory ${this.#trajectoryIds[left]}`,
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
    return rowsOf(this.#signals, this.#trajectoryIds, this.#first(), creditInputs(this.estimator));
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
