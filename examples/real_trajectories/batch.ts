/**
 * Packs conversations into the library's ragged layout: trajectory after trajectory, no padding.
 *
 * A row of logits exists for each token of an assistant message, its tool calls included: that message is a turn. The message's header
 * is written by the chat template, so its row is in no turn (-1). What user, system and tools say is context only and has no row.
 */
import type { Conversation } from './conversations.js';
import { type Place, walk } from './language_model.js';
import type { Tokenizer } from './tokenizer.js';

/** N rows, M trajectories (conversations). */
export interface Batch {
  vocabulary: number;
  /** Per trajectory: everything said in the conversation. */
  conversations: Int32Array[];
  /** Per trajectory: the task's true actions as tokens; empty where there are none. */
  answers: number[][];
  /** [M+1] */
  trajectoryOffsets: Int32Array;
  /** [N] where in its conversation the target of the row stands. */
  positions: Int32Array;
  /** [N] */
  targets: Int32Array;
  /** [N] turn of the row in its trajectory, -1 = in none. */
  turnIds: Int32Array;
  /** [M] the task, numbered in order of appearance. */
  groups: Int32Array;
  /** [M] */
  outcome: Float64Array;
}

export function makeBatch(conversations: readonly Conversation[], tokenizer: Tokenizer): Batch {
  const tasks = new Map<string, number>();
  const rows = { targets: [] as number[], positions: [] as number[], turnIds: [] as number[] };
  const offsets = [0];
  const tokens = conversations.map((conversation) => {
    const said: number[] = [];
    let turn = -1;
    for (const { role, text } of conversation.messages) {
      const header = tokenizer.header(role);
      const written = [...tokenizer.encode(text), tokenizer.end];
      if (role === 'assistant') {
        turn++;
        rows.targets.push(header, ...written);
        rows.turnIds.push(-1, ...written.map(() => turn));
        for (let i = 0; i <= written.length; i++) rows.positions.push(said.length + i);
      }
      said.push(header, ...written);
    }
    offsets.push(rows.targets.length);
    return Int32Array.from(said);
  });
  return {
    vocabulary: tokenizer.size,
    conversations: tokens,
    answers: conversations.map(({ trueActions }) => tokenizer.encode(trueActions)),
    trajectoryOffsets: Int32Array.from(offsets),
    positions: Int32Array.from(rows.positions),
    targets: Int32Array.from(rows.targets),
    turnIds: Int32Array.from(rows.turnIds),
    groups: Int32Array.from(conversations, ({ task }) => tasks.get(task) ?? tasks.set(task, tasks.size).size - 1),
    outcome: Float64Array.from(conversations, ({ reward }) => reward),
  };
}

/** Visits the rows of one trajectory in order. */
export function eachRow(batch: Batch, trajectory: number, visit: (place: Place, row: number) => void): void {
  let row = batch.trajectoryOffsets[trajectory];
  const end = batch.trajectoryOffsets[trajectory + 1];
  walk(batch.conversations[trajectory], batch.vocabulary, (place) => {
    if (row < end && place.position === batch.positions[row]) visit(place, row++);
  });
}

/** Neighbouring trajectories that go through the loss together: rows [start, end) of the batch. */
export interface MicroBatch {
  trajectories: number[];
  start: number;
  end: number;
  /** Offsets inside the micro-batch. */
  trajectoryOffsets: Int32Array;
}

/** Cuts the batch between trajectories, at most `rows` rows a piece (one trajectory may be longer). */
export function microBatches({ trajectoryOffsets }: Batch, rows: number): MicroBatch[] {
  const pieces: MicroBatch[] = [];
  const count = trajectoryOffsets.length - 1;
  for (let first = 0, next = 0; first < count; first = next) {
    const start = trajectoryOffsets[first];
    next = first + 1;
    while (next < count && trajectoryOffsets[next + 1] - start <= rows) next++;
    pieces.push({
      trajectories: Array.from({ length: next - first }, (_, i) => first + i),
      start,
      end: trajectoryOffsets[next],
      trajectoryOffsets: trajectoryOffsets.slice(first, next + 1).map((offset) => offset - start),
    });
  }
  return pieces;
}
