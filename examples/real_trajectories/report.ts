/** What the run prints: tables, verdicts, seconds. */
import type { Credit, Turns } from 'turnwise';
import type { Verdict } from './checks.js';
import type { PassResult } from './step.js';

/** Seconds per phase, in order. */
export class Stopwatch {
  private readonly seconds = new Map<string, number>();

  time<T>(phase: string, work: () => T): T {
    const began = performance.now();
    const result = work();
    this.seconds.set(phase, (performance.now() - began) / 1000);
    return result;
  }

  lines(): string[] {
    const all = [...this.seconds, ['together', [...this.seconds.values()].reduce((a, b) => a + b, 0)] as const];
    return table(all.map(([phase, seconds]) => [phase, `${seconds.toFixed(seconds < 0.1 ? 4 : 2)} s`]));
  }
}

/** Columns as wide as they must be; the first to the left, numbers to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]) : cell.padStart(widths[c]))).join('  '),
  );
}

/** One line per turn index: means over all turns with it. A turn without information gain has no part in its means. */
export function turnTable(turns: Turns, gain: Float64Array, a2tgpo: Credit, grpo: Credit): string[] {
  const last = turns.index.reduce((a, b) => Math.max(a, b), 0);
  const rows = [['turn', 'turns', 'with IG', 'mean IG', 'mean z', 'mean |z|', 'mean A', 'clip scale', 'A of GRPO']];
  for (let index = 0; index <= last; index++) {
    const members = Array.from(turns.index.keys()).filter((k) => turns.index[k] === index);
    const scored = members.filter((k) => !Number.isNaN(gain[k]));
    const mean = (of: number[], value: (k: number) => number) =>
      of.length === 0 ? '-' : fixed(of.reduce((sum, k) => sum + value(k), 0) / of.length, 4);
    rows.push([
      String(index),
      String(members.length),
      String(scored.length),
      mean(scored, (k) => gain[k]),
      mean(scored, (k) => a2tgpo.normalizedSignal[k]),
      mean(scored, (k) => Math.abs(a2tgpo.normalizedSignal[k])),
      mean(members, (k) => a2tgpo.advantages[k]),
      mean(members, (k) => a2tgpo.clipScale[k]),
      mean(members, (k) => grpo.advantages[k]),
    ]);
  }
  return table(rows);
}

export function stepTable(steps: readonly { name: string; before: PassResult; after: PassResult }[]): string[] {
  const percent = (part: number, whole: number) => `${((100 * part) / whole).toFixed(2)} %`;
  return table([
    ['step', 'loss', 'change by it', '|gradient|', 'clipped low', 'clipped high', 'ratio from', 'to', 'in turnwise'],
    ...steps.map(({ name, before, after }) => [
      name,
      before.loss.toExponential(4),
      (after.loss - before.loss).toExponential(2),
      before.gradientNorm.toExponential(3),
      percent(before.clippedLow, before.tokens),
      percent(before.clippedHigh, before.tokens),
      before.ratioMin.toFixed(4),
      before.ratioMax.toFixed(4),
      `${before.seconds.toFixed(2)} s`,
    ]),
  ]);
}

export function verdictTable(verdicts: readonly Verdict[]): string[] {
  return table([
    ['', 'largest difference', 'allowed', 'largest value', ''],
    ...verdicts.map(({ what, difference, tolerance, agrees }) => [
      what,
      difference.largest.toExponential(2),
      tolerance.toExponential(2),
      difference.magnitude.toExponential(2),
      agrees ? 'agrees' : 'DIFFERS',
    ]),
  ]);
}

/** Without "-0.0000" for what is 0 but for rounding. */
function fixed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text;
}
