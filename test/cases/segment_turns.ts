/** Cases of segmentTurns: every source of turns, and every error of each. A trajectory is written as a string of tokens. */
import type { SegmentTurnsArgs, StatusCode } from '../../lib/ops.js';
import { random } from '../support/random.js';
import { EXACT, type OpCase } from './op_case.js';

type Given = Partial<SegmentTurnsArgs> & Pick<SegmentTurnsArgs, 'by'>;

interface Row {
  title: string;
  why: string;
  given: () => Given;
  fails?: [code: StatusCode, position: number];
  /** Room of the outputs; default: enough. */
  room?: number;
}

const OPEN = 100;
const CLOSE = 200;
const TOKENS: Record<string, number> = { '<': OPEN, '>': CLOSE };

/** One string per trajectory: `<`, `>` delimiters, everything else a token. */
function tokenIds(...trajectories: string[]): Given {
  return {
    by: 'delimiters',
    trajectoryOffsets: offsets(trajectories.map((text) => text.length)),
    tokenIds: Int32Array.from([...trajectories.join('')].map((letter) => TOKENS[letter] ?? letter.charCodeAt(0) % 64)),
  };
}

/** `.` = in no turn (-1), `!` = -2, digits are ids. */
function turnIds(...trajectories: string[]): Given {
  const ids = [...trajectories.join('')].map((letter) => (letter === '.' ? -1 : letter === '!' ? -2 : Number(letter)));
  return {
    by: 'turn-ids',
    trajectoryOffsets: offsets(trajectories.map((text) => text.length)),
    turnIds: Int32Array.from(ids),
  };
}

/** `1` = in the loss. */
function maskOf(text: string): Uint8Array {
  return Uint8Array.from([...text].map((letter) => (letter === '1' ? 1 : 0)));
}

function maskRuns(...trajectories: string[]): Given {
  return {
    by: 'action-mask',
    trajectoryOffsets: offsets(trajectories.map((text) => text.length)),
    actionMask: maskOf(trajectories.join('')),
  };
}

function spans(lengths: number[], ...given: [number, number][]): Given {
  return {
    by: 'spans',
    trajectoryOffsets: offsets(lengths),
    spanStarts: Int32Array.from(given, ([start]) => start),
    spanEnds: Int32Array.from(given, ([, end]) => end),
  };
}

function offsets(lengths: readonly number[]): Int32Array {
  let end = 0;
  return Int32Array.of(0, ...lengths.map((length) => (end += length)));
}

const GOOD: Row[] = [
  { title: 'ids with gaps', why: 'an index is the id, not the order', given: () => turnIds('0011.44', '..22', '5') },
  { title: 'ids of an empty batch', why: 'N = 0 and M = 0', given: () => turnIds() },
  {
    title: 'ids of empty trajectories',
    why: 'M > 0 with trajectories of no token',
    given: () => turnIds('', '00', '', ''),
  },
  {
    title: 'the same id in two trajectories',
    why: 'a turn ends with its trajectory',
    given: () => turnIds('00', '00'),
  },
  {
    title: 'ids with a mask',
    why: 'tokens of a turn outside the loss are skipped and not counted',
    given: () => ({ ...turnIds('0001112', '00.'), actionMask: maskOf('0101000100') }),
  },
  {
    title: 'a turn of no loss token',
    why: 'a turn whose mask is all 0 is a turn of 0 tokens',
    given: () => ({ ...turnIds('0011'), actionMask: maskOf('0011') }),
  },
  { title: 'mask runs', why: 'each run is a turn', given: () => maskRuns('0110111', '1', '000', '101') },
  {
    title: 'mask runs across trajectories',
    why: 'a run never crosses a boundary',
    given: () => maskRuns('011', '110'),
  },
  { title: 'mask of all 1', why: 'one turn of everything', given: () => maskRuns('11111') },
  { title: 'mask of all 0', why: 'no turn', given: () => maskRuns('000', '00') },
  { title: 'delimiters', why: 'both delimiters belong to the turn', given: () => tokenIds('ab<cd>e<f>', '<>', 'xyz') },
  {
    title: 'delimiters at the edges',
    why: 'a turn may begin and end a trajectory',
    given: () => tokenIds('<a>', '<b>'),
  },
  {
    title: 'an unclosed turn that may end',
    why: 'a truncated rollout',
    given: () => ({ ...tokenIds('a<bc', '<d>'), unclosed: 'end' }),
  },
  {
    title: 'an open delimiter alone at the end',
    why: 'a turn of one token',
    given: () => ({ ...tokenIds('ab<'), unclosed: 'end' }),
  },
  {
    title: 'delimiters with a mask',
    why: 'the mask counts inside spans',
    given: () => ({ ...tokenIds('a<bc>d'), actionMask: maskOf('001100') }),
  },
  { title: 'spans', why: 'sorted spans of several trajectories', given: () => spans([5, 3], [0, 2], [3, 5], [5, 8]) },
  { title: 'no spans', why: 'a batch may have no turn', given: () => spans([5, 3]) },
  {
    title: 'spans with a mask',
    why: 'the mask counts inside spans',
    given: () => ({ ...spans([5, 3], [1, 4], [6, 7]), actionMask: maskOf('01010010') }),
  },
  {
    title: 'spans in a late trajectory',
    why: 'trajectories without turns are passed over',
    given: () => spans([2, 0, 0, 4], [3, 6]),
  },
];

const BAD: Row[] = [
  { title: 'ids that decrease', why: 'turn order', given: () => turnIds('00', '1110'), fails: ['turn-order', 5] },
  { title: 'an id that comes back after -1', why: 'split turn', given: () => turnIds('0.0'), fails: ['turn-split', 2] },
  {
    title: 'an id that comes back after another',
    why: 'split turn',
    given: () => turnIds('00', '0110'),
    fails: ['turn-split', 5],
  },
  { title: 'an id below -1', why: 'only -1 means no turn', given: () => turnIds('0!'), fails: ['turn-order', 1] },
  {
    title: 'ids with a mask outside',
    why: 'a loss token in no turn',
    given: () => ({ ...turnIds('0.1'), actionMask: maskOf('111') }),
    fails: ['mask-outside-turn', 1],
  },
  {
    title: 'the first of two errors',
    why: 'left to right: the mask at 1, the order at 3',
    given: () => ({ ...turnIds('1.20'), actionMask: maskOf('1111') }),
    fails: ['mask-outside-turn', 1],
  },
  {
    title: 'nested delimiters',
    why: 'open inside an open turn',
    given: () => tokenIds('<a>', 'b<c<'),
    fails: ['turn-nested', 6],
  },
  { title: 'close without open', why: 'unopened', given: () => tokenIds('a', 'b>'), fails: ['turn-unopened', 2] },
  { title: 'close after close', why: 'unopened', given: () => tokenIds('<a>b>'), fails: ['turn-unopened', 4] },
  {
    title: 'open at the end of a trajectory',
    why: 'unclosed; the next trajectory may not close it',
    given: () => tokenIds('a<b', 'c>'),
    fails: ['turn-unclosed', 1],
  },
  {
    title: 'delimiters with a mask outside',
    why: 'a loss token in no turn',
    given: () => ({ ...tokenIds('<a>b'), actionMask: maskOf('0101') }),
    fails: ['mask-outside-turn', 3],
  },
  { title: 'an empty span', why: 'range', given: () => spans([4], [0, 1], [2, 2]), fails: ['turn-range', 1] },
  { title: 'a reversed span', why: 'range', given: () => spans([4], [3, 1]), fails: ['turn-range', 0] },
  { title: 'a span below 0', why: 'range', given: () => spans([4], [-1, 1]), fails: ['turn-range', 0] },
  { title: 'a span beyond the end', why: 'range', given: () => spans([4], [3, 5]), fails: ['turn-range', 0] },
  { title: 'a span across trajectories', why: 'range', given: () => spans([3, 3], [2, 4]), fails: ['turn-range', 0] },
  {
    title: 'a span of the largest integers',
    why: 'no overflow on the way',
    given: () => spans([4], [2 ** 31 - 2, 2 ** 31 - 1]),
    fails: ['turn-range', 0],
  },
  { title: 'spans out of order', why: 'order', given: () => spans([9], [5, 6], [1, 2]), fails: ['turn-order', 1] },
  { title: 'spans that overlap', why: 'overlap', given: () => spans([9], [1, 4], [3, 6]), fails: ['turn-overlap', 1] },
  { title: 'a span given twice', why: 'overlap', given: () => spans([9], [1, 4], [1, 4]), fails: ['turn-overlap', 1] },
  {
    title: 'spans with a mask outside',
    why: 'a loss token in no turn, before the last span',
    given: () => ({ ...spans([6], [1, 2], [4, 5]), actionMask: maskOf('010101') }),
    fails: ['mask-outside-turn', 3],
  },
  {
    title: 'spans with a mask behind',
    why: 'a loss token after the last span',
    given: () => ({ ...spans([6], [1, 2]), actionMask: maskOf('010001') }),
    fails: ['mask-outside-turn', 5],
  },
  {
    title: 'offsets that do not start at 0',
    why: 'sizes',
    given: () => ({ ...turnIds('00'), trajectoryOffsets: Int32Array.of(1, 2) }),
    fails: ['invalid-argument', -1],
  },
  {
    title: 'offsets that decrease',
    why: 'sizes',
    given: () => ({ ...turnIds('0000'), trajectoryOffsets: Int32Array.of(0, 3, 1, 4) }),
    fails: ['invalid-argument', -1],
  },
  {
    title: 'offsets that end elsewhere',
    why: 'sizes',
    given: () => ({ ...turnIds('0000'), trajectoryOffsets: Int32Array.of(0, 5) }),
    fails: ['invalid-argument', -1],
  },
  {
    title: 'no offsets',
    why: 'sizes',
    given: () => ({ ...turnIds('00'), trajectoryOffsets: new Int32Array(0) }),
    fails: ['invalid-argument', -1],
  },
  {
    title: 'a mask of another length',
    why: 'sizes',
    given: () => ({ ...turnIds('0000'), actionMask: maskOf('111') }),
    fails: ['invalid-argument', -1],
  },
  {
    title: 'room for fewer turns',
    why: 'sizes',
    given: () => turnIds('012345'),
    fails: ['invalid-argument', -1],
    room: 3,
  },
  {
    title: 'no turn ids',
    why: 'the source is missing',
    given: () => ({ ...turnIds('00'), turnIds: null }),
    fails: ['invalid-argument', -1],
  },
  {
    title: 'ends of another length',
    why: 'sizes',
    given: () => ({ ...spans([4], [0, 1], [2, 3]), spanEnds: Int32Array.of(1) }),
    fails: ['invalid-argument', -1],
  },
];

/** 400 trajectories of up to 8 runs with gaps between them: long enough for every branch to meet every other. */
function large(): Given {
  const { integer } = random(7);
  const trajectories = Array.from({ length: 400 }, () => {
    let id = -1;
    return Array.from({ length: integer(9) }, () => {
      id += 1 + integer(2);
      return [...new Array<number>(integer(4)).fill(-1), ...new Array<number>(1 + integer(5)).fill(id)];
    }).flat();
  });
  const ids = Int32Array.from(trajectories.flat());
  return {
    by: 'turn-ids',
    trajectoryOffsets: offsets(trajectories.map((own) => own.length)),
    turnIds: ids,
    actionMask: Uint8Array.from(ids, (id) => (id >= 0 && integer(4) > 0 ? 1 : 0)),
  };
}

function caseOf({ title, why, given, fails, room = 40 }: Row): OpCase<'segmentTurns'> {
  return {
    op: 'segmentTurns',
    title,
    why,
    make: () => {
      const output = () => new Int32Array(room).fill(-99);
      return {
        trajectoryOffsets: new Int32Array(1),
        actionMask: null,
        turnIds: null,
        tokenIds: null,
        openToken: OPEN,
        closeToken: CLOSE,
        unclosed: 'throw',
        spanStarts: null,
        spanEnds: null,
        starts: output(),
        ends: output(),
        tokens: output(),
        trajectory: output(),
        index: output(),
        count: new Int32Array(1).fill(-99),
        effectiveMask: null,
        ...given(),
      };
    },
    ...(fails ? { status: { code: fails[0], position: fails[1] } } : {}),
    outputs: ({ count, starts, ends, tokens, trajectory, index }) =>
      Object.entries({ count, starts, ends, tokens, trajectory, index }).map(([name, values]) => ({
        name,
        values: name === 'count' ? values : values.subarray(0, count[0]),
        tolerance: EXACT,
      })),
  };
}

export const SEGMENT_TURNS_CASES: readonly OpCase<'segmentTurns'>[] = [
  ...GOOD.map(caseOf),
  ...BAD.map(caseOf),
  caseOf({
    title: 'long rows of mask runs',
    why: 'runs longer than any vector',
    given: () => maskRuns('0'.repeat(65) + '1'.repeat(200) + '0'.repeat(3), '1'.repeat(64)),
  }),
  caseOf({ title: '400 random trajectories', why: 'every branch beside every other', given: large, room: 20000 }),
];
