/** Every value of every named choice of credit assignment. */
import type {
  Accumulate,
  Bootstrap,
  Center,
  ChannelArgs,
  ChannelUse,
  Combine,
  Divide,
  GroupBy,
  KlEstimator,
  Level,
  Members,
  Modulate,
  Observation,
  Place,
  Scale,
  Singleton,
  Then,
  Transform,
  TreeBackup,
  TreeBaseline,
  WhitenKind,
} from '../../lib/ops.js';

/** Every value of a choice; a value that the type gains is missed here by the compiler. */
const every = <T extends string>(of: Record<T, 0>) => Object.keys(of) as T[];

/** Every value of every choice of a channel. */
export const CHOICES = {
  level: every<Level>({ token: 0, turn: 0, sequence: 0 }),
  place: every<Place>({ last: 0, every: 0 }),
  accumulate: every<Accumulate>({ none: 0, discounted: 0, gae: 0, tree: 0 }),
  bootstrap: every<Bootstrap>({ zero: 0, outcome: 0, carry: 0, given: 0 }),
  observation: every<Observation>({ skip: 0, reset: 0 }),
  treeBackup: every<TreeBackup>({ 'child-mean': 0, 'child-softmax': 0, 'leaf-mean': 0 }),
  treeBaseline: every<TreeBaseline>({ none: 0, parent: 0, root: 0 }),
  group: every<GroupBy>({ batch: 0, prompt: 0, 'prompt-turn': 0, 'prompt-key': 0, parent: 0 }),
  members: every<Members>({ all: 0, first: 0 }),
  singleton: every<Singleton>({ zero: 0, raw: 0, throw: 0 }),
  transform: every<Transform>({ none: 0, 'rank-gauss': 0 }),
  center: every<Center>({ none: 0, mean: 0, 'leave-one-out': 0, median: 0, 'length-weighted': 0, given: 0 }),
  scale: every<Scale>({ none: 0, std: 0, 'batch-std': 0 }),
  then: every<Then>({ none: 0, discounted: 0, tree: 0 }),
  thenDivide: every<Divide>({ none: 0, 'sqrt-terms': 0 }),
  use: every<ChannelUse>({ advantage: 0, 'ratio-target': 0 }),
} satisfies { [Field in keyof ChannelArgs]?: readonly ChannelArgs[Field][] };

/** Every value of every choice of the whole op. */
export const OP_CHOICES = {
  combine: every<Combine>({ sum: 0, join: 0, 'weighted-mean': 0 }),
  modulation: every<Modulate>({ none: 0, entropy: 0 }),
  whiten: every<WhitenKind>({ none: 0, center: 0, standardize: 0 }),
  over: every<Level>({ token: 0, turn: 0, sequence: 0 }),
  resultLevel: every<Level>({ token: 0, turn: 0, sequence: 0 }).filter((level) => level !== 'sequence'),
};

export const KL_ESTIMATORS = every<KlEstimator>({ k1: 0, k2: 0, k3: 0, abs: 0 });
