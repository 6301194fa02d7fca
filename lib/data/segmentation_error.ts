/** The errors of segmentTurns in the words of its input. */
import { offsets as checkOffsets } from '../check/arrays.js';
import { InvalidInputError } from '../errors.js';
import { opError } from '../op_error.js';
import type { Status } from '../ops.js';
import { onHost } from '../tensor/column.js';
import type { TurnSource } from './turn_source.js';

/** Statuses that need a look at the arrays. */
const EXPLAINED = /^(turn-|mask-|invalid-)/;

/** What a failed segmentation expected and found, with trajectory and turn. */
export function segmentationError({ code, position }: Status, source: TurnSource, device: string): Error {
  if (!EXPLAINED.test(code)) return opError('segmentTurns', { code, position }, device);
  const args = onHostAll(source);
  const { trajectoryOffsets, turnIds, tokenIds, spanStarts, spanEnds, delimiters } = args;
  const token = args.by === 'spans' && code !== 'mask-outside-turn' ? spanStarts![position] : position;
  const trajectory = trajectoryAt(trajectoryOffsets, token);
  const begin = trajectoryOffsets[trajectory] ?? 0;
  const opened = (until: number) =>
    tokenIds!.subarray(begin, until).reduce((n, id) => n + Number(id === delimiters.open), 0);
  const say = (path: string, turn: number, expected: string, received: string) =>
    new InvalidInputError({
      code: 'ERR_TURNS',
      path,
      expected,
      received,
      hint: `Trajectory ${trajectory}, turn ${turn}`,
    });
  const span = () => `[${spanStarts![position]}, ${spanEnds![position]})`;
  const spanTurn = () => spanStarts!.subarray(0, position).reduce((n, start) => n + Number(start >= begin), 0);
  switch (code) {
    case 'turn-nested': {
      const expected = `delimiters.close (${delimiters.close}) before the next delimiters.open`;
      return say(`tokens[${position}]`, opened(position) - 1, expected, `delimiters.open (${delimiters.open})`);
    }
    case 'turn-unopened': {
      const expected = `delimiters.open (${delimiters.open}) before delimiters.close`;
      return say(`tokens[${position}]`, opened(position), expected, `delimiters.close (${delimiters.close})`);
    }
    case 'turn-unclosed': {
      const expected = `delimiters.close (${delimiters.close}) before the end of the trajectory, or delimiters.unclosed: "end"`;
      return say(`tokens[${position}]`, opened(position + 1) - 1, expected, 'an open turn');
    }
    case 'turn-order':
      if (args.by === 'spans') {
        const expected = `a start of at least ${spanStarts![position - 1]} (spans are sorted)`;
        return say(`spans.starts[${position}]`, spanTurn(), expected, String(spanStarts![position]));
      }
      if (turnIds![position] < -1) {
        return say(
          `turnIds[${position}]`,
          turnIds![position],
          '-1 or a turn id of at least 0',
          String(turnIds![position]),
        );
      }
      return say(
        `turnIds[${position}]`,
        turnIds![position],
        'ids that increase along a trajectory',
        String(turnIds![position]),
      );
    case 'turn-split': {
      const expected = 'one contiguous run of each turn id';
      return say(`turnIds[${position}]`, turnIds![position], expected, `id ${turnIds![position]} again after a gap`);
    }
    case 'turn-overlap': {
      const expected = `a start of at least ${spanEnds![position - 1]} (the end of the span before)`;
      return say(`spans.starts[${position}]`, spanTurn(), expected, String(spanStarts![position]));
    }
    case 'turn-range': {
      const expected = `a non-empty span inside one trajectory of ${trajectoryOffsets.at(-1)} tokens in all`;
      return say(`spans.starts[${position}]`, spanTurn(), expected, span());
    }
    case 'mask-outside-turn': {
      const before = turnsBefore(args, begin, position);
      return say(`actionMask[${position}]`, before, '0 outside every turn', '1 in no turn');
    }
    case 'invalid-argument':
      // Offsets in host memory have been checked before.
      checkOffsets(
        trajectoryOffsets,
        'trajectoryOffsets',
        tokenIds?.length ?? turnIds?.length ?? args.actionMask?.length,
      );
      return opError('segmentTurns', { code, position }, device);
    default:
      return opError('segmentTurns', { code, position }, device);
  }
}

/** A source whose arrays can be looked at. */
interface HostSource extends Pick<TurnSource, 'by' | 'delimiters'> {
  trajectoryOffsets: Int32Array;
  actionMask: Uint8Array | null;
  turnIds: Int32Array | null;
  tokenIds: Int32Array | null;
  spanStarts: Int32Array | null;
  spanEnds: Int32Array | null;
}

/** Errors are rare, and worth a copy from the device. */
function onHostAll({ by, delimiters, ...source }: TurnSource): HostSource {
  return {
    by,
    delimiters,
    trajectoryOffsets: onHost(source.trajectoryOffsets),
    actionMask: source.actionMask && onHost(source.actionMask),
    turnIds: source.turnIds && onHost(source.turnIds),
    tokenIds: source.tokenIds && onHost(source.tokenIds),
    spanStarts: source.spanStarts && onHost(source.spanStarts),
    spanEnds: source.spanEnds && onHost(source.spanEnds),
  };
}

function trajectoryAt(offsets: Int32Array, token: number): number {
  let low = 0;
  let high = offsets.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (offsets[middle] <= token) low = middle;
    else high = middle - 1;
  }
  return Math.max(low, 0);
}

/** Turns that begin in [begin, token): the ordinal of the turn that the token would belong to. */
function turnsBefore(args: HostSource, begin: number, token: number): number {
  if (args.by === 'spans')
    return args.spanStarts!.reduce((n, start) => n + Number(start >= begin && start <= token), 0);
  if (args.by === 'delimiters') {
    return args.tokenIds!.subarray(begin, token).reduce((n, id) => n + Number(id === args.delimiters.open), 0);
  }
  return new Set(args.turnIds!.subarray(begin, token).filter((id) => id >= 0)).size;
}
