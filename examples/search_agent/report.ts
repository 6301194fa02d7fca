/** What the demo prints and draws. */

import { writeFileSync } from 'node:fs';
import { svgLinePlot } from '../shared/svg_plot.js';
import { terminalPlot } from '../shared/terminal_plot.js';
import { questionText } from './environment.js';
import type { Options } from './options.js';
import type { Trajectory } from './rollout.js';
import { end, textOf } from './tokens.js';
import type { StepReport } from './train.js';

/** One seed's training. */
export interface Run {
  seed: number;
  /** Success rate of each step's episodes, before its updates. */
  curve: readonly number[];
}

export const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const wholePercent = (share: number): string => `${Math.round(100 * share)} %`;

export function statusLine({ successRate, meanGain, clipFraction }: StepReport): string {
  const gains = meanGain.map((gain) => (Number.isNaN(gain) ? '-' : signed(gain)));
  return `success ${percent(successRate).padStart(5)}  gain by turn ${gains.join(' ')}  clipped ${percent(clipFraction)}`;
}

/** Adds up the steps it is given: how fast they went, and how much of that was turnwise. */
export function speedometer(): (step: StepReport) => string {
  const started = performance.now();
  let tokens = 0;
  let lossSeconds = 0;
  return (step) => {
    tokens += step.tokens;
    lossSeconds += step.lossSeconds;
    const seconds = (performance.now() - started) / 1000;
    return `${Math.round(tokens / seconds / 1000)}k tokens/s  loss ${percent(lossSeconds / seconds)} of the time`;
  };
}

/** An episode turn by turn, with the information gain [turns] of each. */
export function episodeText({ question, tokens, actionMask, outcome }: Trajectory, gain: Float64Array): string {
  const lines: string[] = [];
  let turn: string[] = [];
  const finishTurn = () => {
    const value = gain[lines.length];
    const note = Number.isNaN(value) ? (outcome === 1 ? 'right' : 'wrong') : `gain ${signed(value)}`;
    lines.push(`    ${turn.join(' ').padEnd(36)} ${note}`);
    turn = [];
  };
  tokens.forEach((token, n) => {
    if (actionMask[n] === 1 && n > 0 && actionMask[n - 1] === 0) finishTurn();
    if (token !== end) turn.push(textOf(token));
  });
  finishTurn();
  return [`  ${questionText(question)}  (${textOf(question.answer)})`, ...lines].join('\n');
}

const signed = (value: number): string => `${value <= -0.005 ? '-' : '+'}${Math.abs(value).toFixed(2)}`;

export function plotRuns(runs: readonly Run[], { estimator, steps }: Options): string {
  const { x, mean, low, high } = summarize(runs, steps);
  const title = `Success rate, ${titleOf(runs, estimator)}`;
  const style = { title, xLabel: 'training step', yRange: [0, 1], formatY: wholePercent } as const;
  if (runs.length === 1) return terminalPlot([{ name: estimator, x, y: mean }], style);
  const spread = [
    { name: 'mean', x, y: mean },
    { name: 'worst seed', x, y: low },
    { name: 'best seed', x, y: high },
  ];
  return terminalPlot(spread, style);
}

/** Writes the plot and returns where. */
export function writeSvg(runs: readonly Run[], { estimator, steps, out }: Options): string {
  const { x, mean, low, high } = summarize(runs, steps);
  const band = runs.length > 1 ? { band: { low, high } } : {};
  const svg = svgLinePlot([{ name: estimator, x, y: mean, ...band }], {
    title: `Search agent: ${titleOf(runs, estimator)}`,
    xLabel: 'training step',
    yLabel: 'success rate',
    yRange: [0, 1],
    formatY: wholePercent,
  });
  writeFileSync(out, svg);
  return out;
}

function titleOf(runs: readonly Run[], estimator: string): string {
  return runs.length === 1
    ? `${estimator}, seed ${runs[0].seed}`
    : `${estimator}, mean and range of ${runs.length} seeds`;
}

/** Mean and range over the runs, step by step. */
function summarize(runs: readonly Run[], steps: number) {
  const at = (step: number) => runs.map(({ curve }) => curve[step]);
  const x = Array.from({ length: steps }, (_, step) => step + 1);
  return {
    x,
    mean: x.map((_, step) => at(step).reduce((sum, rate) => sum + rate, 0) / runs.length),
    low: x.map((_, step) => Math.min(...at(step))),
    high: x.map((_, step) => Math.max(...at(step))),
  };
}
