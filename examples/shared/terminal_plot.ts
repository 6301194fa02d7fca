/**
 * A line plot as text: one mark per column and series, joined vertically, with a y axis and a legend.
 */

import { rangeOf } from './range.js';

export interface TerminalSeries {
  name: string;
  /** Values in the order of x; not finite = a gap. */
  y: ArrayLike<number>;
  /** Same length as `y`; default 0, 1, 2, ... */
  x?: ArrayLike<number>;
}

export interface TerminalPlotOptions {
  title?: string;
  xLabel?: string;
  /** Size of the plotting area in characters. */
  width?: number;
  height?: number;
  /** Range of the y axis; default the range of the data. */
  yRange?: readonly [number, number];
  formatY?: (value: number) => string;
}

const marks = ['●', '○', '×', '+', '◆', '◇'];

export function terminalPlot(series: readonly TerminalSeries[], options: TerminalPlotOptions = {}): string {
  const { title, xLabel, width = 64, height = 15, formatY = (value) => value.toPrecision(3) } = options;
  const [xLow, xHigh] = rangeOf(series.map((one) => one.x ?? [0, Math.max(one.y.length - 1, 0)]));
  const [yLow, yHigh] = options.yRange ?? rangeOf(series.map((one) => one.y));

  const canvas = Array.from({ length: height }, () => new Array<string>(width).fill(' '));
  series.forEach((one, s) => {
    drawSeries(canvas, columnMeans(one, width, xLow, xHigh), yLow, yHigh, marks[s % marks.length]);
  });

  const ticks = canvas.map((_, row) => {
    const shown = row === 0 || row === height - 1 || row === Math.floor((height - 1) / 2);
    return shown ? formatY(yHigh - ((yHigh - yLow) * row) / Math.max(height - 1, 1)) : '';
  });
  const margin = Math.max(...ticks.map((tick) => tick.length));
  const lines = canvas.map((row, r) => `${ticks[r].padStart(margin)} ${ticks[r] ? '┤' : '│'}${row.join('').trimEnd()}`);
  const left = String(xLow);
  const right = String(xHigh);
  const middle = (xLabel ?? '').slice(0, Math.max(width - left.length - right.length - 2, 0));
  const gap = Math.max(width - left.length - right.length - middle.length, 0);
  const axis = left + ' '.repeat(gap >> 1) + middle + ' '.repeat(gap - (gap >> 1)) + right;
  return [
    ...(title ? [title] : []),
    ...lines,
    `${' '.repeat(margin)} └${'─'.repeat(width)}`,
    `${' '.repeat(margin + 2)}${axis}`,
    ...(series.length > 1 ? [series.map((one, s) => `${marks[s % marks.length]} ${one.name}`).join('   ')] : []),
  ].join('\n');
}

/** The mean of the finite values that fall into each column; NaN where there is none. */
function columnMeans(series: TerminalSeries, width: number, xLow: number, xHigh: number): number[] {
  const sums = new Array<number>(width).fill(0);
  const counts = new Array<number>(width).fill(0);
  for (let i = 0; i < series.y.length; i++) {
    const x = series.x ? series.x[i] : i;
    if (!Number.isFinite(series.y[i]) || !Number.isFinite(x)) continue;
    const column = Math.round(((x - xLow) / (xHigh - xLow)) * (width - 1));
    sums[column] += series.y[i];
    counts[column]++;
  }
  return sums.map((sum, column) => sum / counts[column]);
}

function drawSeries(canvas: string[][], columns: readonly number[], yLow: number, yHigh: number, mark: string): void {
  const height = canvas.length;
  let previous = -1;
  for (let column = 0; column < columns.length; column++) {
    if (Number.isNaN(columns[column])) continue;
    const share = Math.min(Math.max((columns[column] - yLow) / (yHigh - yLow), 0), 1);
    const row = Math.round((1 - share) * (height - 1));
    canvas[row][column] = mark;
    for (let r = Math.min(row, previous) + 1; previous >= 0 && r < Math.max(row, previous); r++) {
      if (canvas[r][column] === ' ') canvas[r][column] = '·';
    }
    previous = row;
  }
}
