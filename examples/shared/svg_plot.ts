/**
 * A line plot as an SVG document (a string; nothing is drawn on a screen): lines, an optional band around each, axes, legend.
 */

import { rangeOf } from './range.js';

export interface SvgSeries {
  name: string;
  x: ArrayLike<number>;
  /** Same length as `x`; not finite = a gap. */
  y: ArrayLike<number>;
  /** Edges of a band around the line, e.g. mean -/+ standard deviation over seeds. */
  band?: { low: ArrayLike<number>; high: ArrayLike<number> };
  color?: string;
}

export interface SvgPlotOptions {
  title?: string;
  xLabel?: string;
  yLabel?: string;
  width?: number;
  height?: number;
  xRange?: readonly [number, number];
  yRange?: readonly [number, number];
  formatX?: (value: number) => string;
  formatY?: (value: number) => string;
}

type Point = readonly [x: number, y: number];

// Okabe-Ito: told apart by readers with any colour vision.
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const margin = { left: 64, right: 20, top: 40, bottom: 52 };

export function svgLinePlot(series: readonly SvgSeries[], options: SvgPlotOptions = {}): string {
  const { title = '', xLabel = '', yLabel = '', width = 720, height = 420 } = options;
  const { formatX = shortNumber, formatY = shortNumber } = options;
  const [xLow, xHigh] = options.xRange ?? rangeOf(series.map((one) => one.x));
  const bands = series.flatMap((one) => (one.band ? [one.band.low, one.band.high] : []));
  const [yLow, yHigh] = options.yRange ?? rangeOf([...series.map((one) => one.y), ...bands]);
  const right = width - margin.right;
  const bottom = height - margin.bottom;
  const toX = (x: number) => round(margin.left + ((x - xLow) / (xHigh - xLow)) * (right - margin.left));
  const toY = (y: number) => round(bottom - ((y - yLow) / (yHigh - yLow)) * (bottom - margin.top));
  const middleY = (margin.top + bottom) / 2;

  const grid = [
    ...ticksOf(yLow, yHigh).flatMap((y) => [
      `<line x1="${margin.left}" x2="${right}" y1="${toY(y)}" y2="${toY(y)}" stroke="#e3e3e3"/>`,
      `<text x="${margin.left - 8}" y="${toY(y) + 4}" text-anchor="end">${escapeXml(formatY(y))}</text>`,
    ]),
    ...ticksOf(xLow, xHigh).flatMap((x) => [
      `<line x1="${toX(x)}" x2="${toX(x)}" y1="${bottom}" y2="${bottom + 5}" stroke="#444"/>`,
      `<text x="${toX(x)}" y="${bottom + 20}" text-anchor="middle">${escapeXml(formatX(x))}</text>`,
    ]),
    `<path d="M${margin.left} ${margin.top}V${bottom}H${right}" fill="none" stroke="#444"/>`,
  ];
  const labels = [
    `<text x="${margin.left}" y="24" font-size="16" font-weight="bold">${escapeXml(title)}</text>`,
    `<text x="${(margin.left + right) / 2}" y="${height - 12}" text-anchor="middle">${escapeXml(xLabel)}</text>`,
    `<text transform="translate(16 ${middleY}) rotate(-90)" text-anchor="middle">${escapeXml(yLabel)}</text>`,
  ];
  const colorOf = (s: number) => escapeXml(series[s].color ?? colors[s % colors.length]);
  const lines = series.map((one, s) => drawSeries(one, colorOf(s), toX, toY));
  const legend = series.map((one, s) => {
    const y = bottom - 14 - 20 * (series.length - 1 - s);
    const name = `<text x="${right - 36}" y="${y + 4}" text-anchor="end">${escapeXml(one.name)}</text>`;
    return `<path d="M${right - 30} ${y}H${right - 6}" stroke="${colorOf(s)}" stroke-width="3"/>${name}`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`,
    '  font-family="system-ui, sans-serif" font-size="12" fill="#222">',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...grid,
    ...labels,
    // Two pixels more, or a line along the border would lose half of its width.
    `<clipPath id="area"><path d="M${margin.left} ${margin.top - 2}H${right + 2}V${bottom + 2}H${margin.left}Z"/></clipPath>`,
    '<g clip-path="url(#area)">',
    ...lines,
    '</g>',
    ...legend,
    '</svg>',
    '',
  ].join('\n');
}

function drawSeries(one: SvgSeries, color: string, toX: (x: number) => number, toY: (y: number) => number): string {
  const points = (ys: ArrayLike<number>) => Array.from(ys, (y, i): Point => [toX(one.x[i]), toY(y)]);
  const line = `<path d="${pathOf(points(one.y))}" fill="none" stroke="${color}" stroke-width="2.5" stroke-linejoin="round"/>`;
  if (!one.band) return line;
  const edge = [...points(one.band.high), ...points(one.band.low).reverse()].filter(isFinitePoint);
  return `<path d="${pathOf(edge)}Z" fill="${color}" fill-opacity="0.18"/>\n${line}`;
}

/** `M` at the start and after each gap, `L` in between. */
function pathOf(points: readonly Point[]): string {
  let pen = 'M';
  let path = '';
  for (const point of points) {
    if (isFinitePoint(point)) path += `${pen}${point[0]} ${point[1]}`;
    pen = isFinitePoint(point) ? 'L' : 'M';
  }
  return path;
}

const isFinitePoint = ([x, y]: Point): boolean => Number.isFinite(x) && Number.isFinite(y);
const round = (value: number): number => Math.round(value * 100) / 100;
const shortNumber = (value: number): string => String(Number(value.toPrecision(6)));

/** About six ticks at multiples of 1, 2 or 5 times a power of ten. */
function ticksOf(low: number, high: number): number[] {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
