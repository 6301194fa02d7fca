/**
 * Turn spans of packed trajectories, from explicit ids, mask runs, delimiter tokens or given spans. One left-to-right
 * scan; the first thing wrong ends it. Turn boundaries are never inferred from rewards or advantages: releases that do
 * so merge neighbouring turns of equal value.
 */
import type { SegmentTurnsArgs, Status } from '../../ops.js';
import { failed, INVALID, OK } from './status.js';

export function segmentTurns(args: SegmentTurnsArgs): Status {
  const turns = new TurnWriter(args);
  const status = segment(args, turns);
  if (status.code !== 'ok') return status;
  return turns.found > turns.count ? INVALID : OK;
}

/** The same for arrays that other ops read as they are: there must be exactly as many turns as these have room for. */
export function segmentExactly(args: SegmentTurnsArgs): Status {
  const turns = new TurnWriter(args);
  const status = segment(args, turns);
  if (status.code !== 'ok') return status;
  return turns.found === args.starts.length ? OK : failed('turn-count', turns.found);
}

function segment(args: SegmentTurnsArgs, turns: TurnWriter): Status {
  const tokenCount = countTokens(args);
  if (tokenCount === null || !areOffsets(args.trajectoryOffsets, tokenCount)) return INVALID;
  const perToken = [args.actionMask, args.effectiveMask];
  if (perToken.some((mask) => mask !== null && mask.length !== tokenCount)) return INVALID;
  if (args.count.length < 1) return INVALID;
  args.effectiveMask?.fill(0);
  const status = scan(args, turns);
  if (status.code === 'ok') args.count[0] = turns.count;
  return status;
}

/** N of the input that decides, or null where it is missing. */
function countTokens(args: SegmentTurnsArgs): number | null {
  switch (args.by) {
    case 'turn-ids':
      return args.turnIds?.length ?? null;
    case 'action-mask':
      return args.actionMask?.length ?? null;
    case 'delimiters':
      return args.tokenIds?.length ?? null;
    case 'spans': {
      const given = args.spanStarts !== null && args.spanStarts.length === args.spanEnds?.length;
      return given ? (args.trajectoryOffsets.at(-1) ?? null) : null;
    }
  }
}

function areOffsets(offsets: Int32Array, tokenCount: number): boolean {
  if (offsets.length === 0 || offsets[0] !== 0 || offsets[offsets.length - 1] !== tokenCount) return false;
  return offsets.every((offset, m) => m === 0 || offset >= offsets[m - 1]);
}

function scan(args: SegmentTurnsArgs, turns: TurnWriter): Status {
  if (args.by === 'spans') return scanSpans(args, turns);
  for (let m = 0; m + 1 < args.trajectoryOffsets.length; m++) {
    const status = scanTrajectory(args, m, turns);
    if (status.code !== 'ok') return status;
  }
  return OK;
}

function scanTrajectory(args: SegmentTurnsArgs, m: number, turns: TurnWriter): Status {
  const from = args.trajectoryOffsets[m];
  const to = args.trajectoryOffsets[m + 1];
  turns.beginTrajectory(m);
  if (args.by === 'turn-ids') return scanTurnIds(args, from, to, turns);
  if (args.by === 'delimiters') return scanDelimiters(args, from, to, turns);
  return scanMaskRuns(args, from, to, turns);
}

function scanTurnIds({ turnIds, actionMask }: SegmentTurnsArgs, from: number, to: number, turns: TurnWriter): Status {
  if (turnIds === null) return INVALID;
  let start = from;
  let latest = -1;
  for (let n = from; n < to; n++) {
    const id = turnIds[n];
    const before = n > from ? turnIds[n - 1] : -1;
    if (id !== before) {
      if (before >= 0) turns.push(start, n, before);
      if (id < -1) return failed('turn-order', n);
      if (id >= 0 && id <= latest) return failed(turns.hasIndex(id) ? 'turn-split' : 'turn-order', n);
      if (id >= 0) latest = id;
      start = n;
    }
    if (id === -1 && actionMask?.[n] === 1) return failed('mask-outside-turn', n);
  }
  if (to > from && turnIds[to - 1] >= 0) turns.push(start, to, turnIds[to - 1]);
  return OK;
}

function scanMaskRuns({ actionMask }: SegmentTurnsArgs, from: number, to: number, turns: TurnWriter): Status {
  if (actionMask === null) return INVALID;
  let start = -1;
  for (let n = from; n < to; n++) {
    if (actionMask[n] === 1 && start < 0) start = n;
    if (actionMask[n] !== 1 && start >= 0) {
      turns.push(start, n);
      start = -1;
    }
  }
  if (start >= 0) turns.push(start, to);
  return OK;
}

function scanDelimiters(args: SegmentTurnsArgs, from: number, to: number, turns: TurnWriter): Status {
  const { tokenIds, actionMask, openToken, closeToken, unclosed } = args;
  if (tokenIds === null) return INVALID;
  let start = -1;
  for (let n = from; n < to; n++) {
    if (start >= 0) {
      // The close token is asked for first, so that one token may serve as both delimiters.
      if (tokenIds[n] === closeToken) {
        turns.push(start, n + 1);
        start = -1;
      } else if (tokenIds[n] === openToken) {
        return failed('turn-nested', n);
      }
    } else if (tokenIds[n] === openToken) {
      start = n;
    } else if (tokenIds[n] === closeToken) {
      return failed('turn-unopened', n);
    } else if (actionMask?.[n] === 1) {
      return failed('mask-outside-turn', n);
    }
  }
  if (start < 0) return OK;
  if (unclosed === 'throw') return failed('turn-unclosed', start);
  turns.push(start, to);
  return OK;
}

function scanSpans(args: SegmentTurnsArgs, turns: TurnWriter): Status {
  const { trajectoryOffsets, actionMask, spanStarts, spanEnds } = args;
  if (spanStarts === null || spanEnds === null) return INVALID;
  const tokenCount = trajectoryOffsets[trajectoryOffsets.length - 1];
  let covered = 0;
  let uncovered = -1;
  for (let k = 0; k < spanStarts.length; k++) {
    const start = spanStarts[k];
    const end = spanEnds[k];
    if (start < 0 || end > tokenCount || start >= end) return failed('turn-range', k);
    const m = trajectoryOf(trajectoryOffsets, start);
    if (end > trajectoryOffsets[m + 1]) return failed('turn-range', k);
    if (k > 0 && start < spanStarts[k - 1]) return failed('turn-order', k);
    if (k > 0 && start < spanEnds[k - 1]) return failed('turn-overlap', k);
    if (uncovered < 0) uncovered = firstActive(actionMask, covered, start);
    covered = end;
    if (m !== turns.trajectory) turns.beginTrajectory(m);
    turns.push(start, end);
  }
  if (uncovered < 0) uncovered = firstActive(actionMask, covered, tokenCount);
  return uncovered < 0 ? OK : failed('mask-outside-turn', uncovered);
}

/** The trajectory that holds token n: the last m with offsets[m] ≤ n, by bisection. */
function trajectoryOf(offsets: Int32Array, n: number): number {
  let low = 0;
  let high = offsets.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (offsets[middle] <= n) low = middle;
    else high = middle;
  }
  return low;
}

/** First token of [from, to) with mask 1, or -1. */
function firstActive(actionMask: Uint8Array | null, from: number, to: number): number {
  if (actionMask === null) return -1;
  for (let n = from; n < to; n++) if (actionMask[n] === 1) return n;
  return -1;
}

/** Appends turns to the output arrays; goes on counting where there is no room, instead of dropping a turn silently. */
class TurnWriter {
  /** Turns that were written. */
  count = 0;
  found = 0;
  trajectory = -1;
  private readonly indices = new Set<number>();

  constructor(private readonly out: SegmentTurnsArgs) {}

  beginTrajectory(m: number): void {
    this.trajectory = m;
    this.indices.clear();
  }

  /** Whether the current trajectory has a turn of this index. */
  hasIndex(index: number): boolean {
    return this.indices.has(index);
  }

  push(start: number, end: number, index = this.indices.size): void {
    const { starts, ends, tokens, trajectory, index: indices, actionMask, effectiveMask } = this.out;
    this.found++;
    this.indices.add(index);
    const room = Math.min(starts.length, ends.length, tokens.length, trajectory.length, indices.length);
    if (this.count >= room) return;
    if (effectiveMask !== null) {
      for (let n = start; n < end; n++) effectiveMask[n] = actionMask === null || actionMask[n] === 1 ? 1 : 0;
    }
    const k = this.count++;
    starts[k] = start;
    ends[k] = end;
    tokens[k] = actionMask === null ? end - start : countActive(actionMask, start, end);
    trajectory[k] = this.trajectory;
    indices[k] = index;
  }
}

function countActive(actionMask: Uint8Array, start: number, end: number): number {
  let active = 0;
  for (let n = start; n < end; n++) if (actionMask[n] === 1) active++;
  return active;
}
