/** Estimators drawn from the whole algebra: every stage with every variant, as long as the composition is valid. */
import fc from 'fast-check';
import { type EstimatorInput, estimator, InvalidInputError } from '../../lib/index.js';

type Level = 'token' | 'turn' | 'sequence';
type ChannelInput = EstimatorInput['channels'][number];
type Maker<T> = fc.Arbitrary<T>;

const pickOf = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const maybe = <T>(values: Maker<T>, freq = 2) => fc.option(values, { nil: undefined, freq });
const gamma = pickOf(1, 0.9, 0.5, 0);

const SIGNALS: Record<Level, readonly ChannelInput['signal'][]> = {
  sequence: [
    'outcome',
    { level: 'sequence', terms: [{ name: 'format', level: 'sequence' }] },
    { level: 'sequence', terms: ['turn-reward'] },
    { level: 'sequence', terms: ['outcome', 'token-reward'] },
  ],
  turn: [
    'turn-reward',
    'information-gain',
    { level: 'turn', terms: ['information-gain', 'outcome'] },
    { level: 'turn', terms: ['outcome'], place: 'every' },
    { level: 'turn', terms: ['outcome'], place: 'last' },
    { level: 'turn', terms: ['turn-reward', 'token-reward'] },
    { level: 'turn', terms: ['information-gain'], rescale: { kind: 'match-outcome-std', floor: 1e-6 } },
  ],
  token: [
    'token-reward',
    { level: 'token', terms: ['outcome'], klPenalty: { coef: 0.1, estimator: 'k3' } },
    { level: 'token', terms: [{ name: 'intrinsic', level: 'turn' }], place: 'every' },
    { level: 'token', terms: ['outcome', 'turn-reward', 'token-reward'] },
  ],
};

const backup = pickOf('child-mean' as const, 'child-softmax' as const, 'leaf-mean' as const);
const baseline = pickOf('none' as const, 'parent' as const, 'root' as const);
const tree = fc.record({ kind: fc.constant('tree' as const), backup, baseline });

function accumulate(level: Level): Maker<ChannelInput['accumulate']> {
  if (level === 'sequence') return fc.constant(undefined);
  // Drawn everywhere, so that the types are simple, and taken out where it would have no effect.
  const observation = level === 'token' ? pickOf('skip' as const, 'reset' as const) : fc.constant(undefined);
  const discounted = fc.record({
    kind: fc.constant('discounted' as const),
    gamma,
    bootstrap: pickOf('zero' as const, 'outcome' as const),
    observation,
  });
  const gae = fc.record({
    kind: fc.constant('gae' as const),
    gamma,
    lambda: pickOf(0, 0.95, 1),
    bootstrap: pickOf('zero' as const, 'carry' as const, 'given' as const),
    observation,
  });
  return maybe<NonNullable<ChannelInput['accumulate']>>(
    level === 'turn'
      ? fc.oneof(discounted.map(defined), gae.map(defined), tree)
      : fc.oneof(discounted.map(defined), gae.map(defined)),
  );
}

function group(level: Level): Maker<ChannelInput['group']> {
  const singleton = pickOf('zero' as const, 'raw' as const);
  const members = level === 'sequence' ? fc.constant(undefined) : maybe(pickOf('all' as const, 'first' as const), 4);
  const kinds = {
    sequence: ['batch', 'prompt'],
    turn: ['batch', 'prompt', 'prompt-turn', 'parent'],
    token: ['batch', 'prompt', 'prompt-turn'],
  } as const;
  const byKind = fc.record({ kind: pickOf(...kinds[level]), singleton, members });
  const key = fc.constant(level === 'sequence' ? 'stratum' : 'anchor');
  const byKey = fc.record({ kind: fc.constant('prompt-key' as const), key, singleton, members });
  return fc.oneof({ weight: 3, arbitrary: byKind }, { weight: 1, arbitrary: byKey }).map(defined);
}

const scale: Maker<ChannelInput['scale']> = fc.oneof(
  fc.constant({ kind: 'none' as const }),
  fc.record({
    kind: pickOf('std' as const, 'batch-std' as const),
    ddof: pickOf(0 as const, 1 as const),
    eps: pickOf(1e-6, 1e-2),
    varianceFloor: pickOf(0, 1e-8),
    leastStd: pickOf(0, 1e-4),
  }),
);

function channel(level: Level): Maker<ChannelInput> {
  const discounted = fc.record({
    kind: fc.constant('discounted' as const),
    gamma,
    divide: pickOf('none' as const, 'sqrt-terms' as const),
  });
  const then: Maker<ChannelInput['then']> = maybe<NonNullable<ChannelInput['then']>>(
    level === 'sequence' ? tree : discounted,
  );
  return fc
    .record({
      signal: pickOf(...SIGNALS[level]),
      accumulate: accumulate(level),
      group: group(level),
      transform: maybe(fc.constant('rank-gauss' as const), 5),
      center: fc.record({
        kind: pickOf(
          'none' as const,
          'mean' as const,
          'leave-one-out' as const,
          'median' as const,
          'length-weighted' as const,
          'given' as const,
        ),
      }),
      scale,
      then,
      cap: maybe(fc.constant({ eps: 1e-6 }), 5),
      gate: maybe(fc.constant({ temperature: 0.05 }), 5),
      weight: maybe(fc.oneof(pickOf(-0.5, 0.3, 2), fc.constant({ inner: 1.5, last: 1 }))),
    })
    .map(defined);
}

const levels: Maker<Level> = pickOf('sequence', 'sequence', 'turn', 'turn', 'token');
const anyChannel = levels.chain(channel);
const bySign = fc.record({ positive: pickOf(1, 2), negative: pickOf(1.05, 3) });
const [low, high] = [pickOf(0.003, 0.2, 1), pickOf(0.004, 0.28)];
const adapt = maybe(fc.constant({ channel: 0, beta: 0.3 }), 3);

const gate: Maker<EstimatorInput['gate']> = fc.oneof(
  fc.constant({ kind: 'none' as const }),
  fc.record({ kind: fc.constant('ppo' as const), low, high, dual: pickOf(null, 1.2, 3), adapt }).map(defined),
  fc
    .record({ kind: fc.constant('detached' as const), low: pickOf(null, 0.2, 0), high: pickOf(null, 4, 0), adapt })
    .map(defined),
  fc.record({ kind: fc.constant('gamma' as const), shape: bySign, rate: bySign }),
  fc
    .record({
      kind: fc.constant('grad-preserving' as const),
      low,
      high,
      preserve: pickOf('both' as const, 'low' as const, 'high' as const),
      adapt,
    })
    .map(defined),
  fc.record({ kind: fc.constant('sigmoid' as const), temperature: bySign }),
  fc.record({
    kind: fc.constant('quadratic' as const),
    coef: pickOf(0.04, 1),
    of: pickOf('ratio' as const, 'log-ratio' as const),
  }),
  fc.record({
    kind: fc.constant('mask' as const),
    measure: pickOf('ratio' as const, 'log-ratio' as const, 'probability' as const, 'bernoulli-kl' as const),
    low,
    high,
  }),
);

const ratio: Maker<EstimatorInput['ratio']> = fc.oneof(
  fc.record({ level: fc.constant('token' as const), denominator: pickOf('old' as const, 'rollout' as const) }),
  fc.record({
    level: pickOf('turn' as const, 'sequence' as const),
    form: pickOf('true' as const, 'straight-through' as const),
    reduce: pickOf('mean' as const, 'sum' as const),
    tokenClamp: pickOf(null, 0.3),
    tokenClip: pickOf(null, { low: 0.2, high: 0.1 }),
  }),
);

const importance = fc
  .record({
    kind: fc.constant('importance' as const),
    level: pickOf('token' as const, 'turn' as const, 'sequence' as const),
    mode: pickOf('truncate' as const, 'mask' as const),
    low: pickOf(0, 0.9),
    high: pickOf(1.1, 2, null),
  })
  // A mask needs a bound.
  .map((weight) => (weight.mode === 'mask' ? { ...weight, high: weight.high ?? 2 } : weight))
  .map((weight) => (weight.level === 'token' ? weight : { ...weight, reduce: 'sum' as const }));
const reject = fc
  .record({
    kind: fc.constant('reject' as const),
    level: pickOf('token' as const, 'sequence' as const),
    divergence: pickOf('k1' as const, 'k2' as const, 'k3' as const, 'abs' as const),
    low: pickOf(null, -0.2),
    high: pickOf(0.05, 0.5),
  })
  .map((weight) => (weight.level === 'token' ? weight : { ...weight, reduce: 'max' as const }));
const weights: Maker<EstimatorInput['weights']> = fc.array(
  fc.oneof(
    importance,
    reject,
    fc.constant({ kind: 'given' as const }),
    fc.constant({ kind: 'off-policy-mask' as const, threshold: 0.05 }),
  ),
  { maxLength: 3 },
);

const kl: Maker<EstimatorInput['kl']> = fc.option(
  fc.record({
    coef: fc.constant(0.1),
    estimator: pickOf('k1' as const, 'k2' as const, 'k3' as const, 'abs' as const),
    gradient: pickOf('own' as const, 'k2' as const),
    ratioCorrection: fc.boolean(),
  }),
);

const aggregate = pickOf<NonNullable<EstimatorInput['aggregate']>>(
  'token-mean',
  'token-sum',
  'seq-mean-token-mean',
  'seq-mean-token-sum',
  'turn-mean-token-mean',
  { kind: 'seq-mean-token-sum-norm', horizon: 9 },
);

/** Definitions that `estimator` accepts. */
export const definitions: Maker<EstimatorInput> = fc
  .record({
    name: fc.constant('random'),
    channels: fc.array(anyChannel, { minLength: 1, maxLength: 3 }),
    combine: maybe(
      fc.oneof(
        fc.record({ kind: fc.constant('join' as const), gamma }),
        fc.constant({ kind: 'weighted-mean' as const }),
      ),
      2,
    ),
    modulate: fc.option(fc.constant({ kind: 'entropy' as const, decay: 1, bonus: 0.1, bonusDecay: 1 }), { freq: 4 }),
    whiten: fc.option(
      fc.oneof(
        fc.record({ kind: fc.constant('center' as const), over: pickOf('token' as const, 'turn' as const) }),
        fc.record({
          kind: fc.constant('standardize' as const),
          over: pickOf('token' as const, 'turn' as const),
          ddof: pickOf(0 as const, 1 as const),
          eps: fc.constant(0),
          varianceFloor: fc.constant(1e-8),
        }),
      ),
      { freq: 3 },
    ),
    ratio: maybe(ratio, 1),
    gate,
    weights,
    kl,
    aggregate,
  })
  .map((definition) => defined(definition) as EstimatorInput)
  .filter(isComposition);

/** Stages that do not fit together are refused with ERR_ESTIMATOR; any other error is a mistake of this file, and shows. */
function isComposition(definition: EstimatorInput): boolean {
  try {
    estimator(definition);
    return true;
  } catch (error) {
    if (error instanceof InvalidInputError && error.code === 'ERR_ESTIMATOR') return false;
    throw error;
  }
}

type Defined<T> = T extends unknown ? { [Key in keyof T]: Exclude<T[Key], undefined> } : never;

/** Without the fields that are undefined: those were not drawn. */
function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Defined<T>;
}
