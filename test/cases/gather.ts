/** Cases of gatherLogProbs: all logits cases, and every way in which a row can be bad. */
import type { DTypeOfLogits, GatherLogProbsArgs, NonFinite } from '../../lib/ops.js';
import { ulp32 } from '../support/numbers.js';
import { DTYPES, LOGITS_CASES, type LogitsCase, type LogitsInput, makeLogits } from './logits.js';
import type { OpCase, Output } from './op_case.js';

/** The promise on log-probs in ULP of float32 against float64: 4 + gap. The argument of exp is rounded, relative to the gap. */
export const LOG_PROB_ULP = 4;
/** The promise on entropy, relative. */
export const ENTROPY_RELATIVE = 1e-6;

function makeArgs(input: LogitsInput, nonFinite: NonFinite): GatherLogProbsArgs {
  const { logits, targets, actionMask, temperature } = input;
  const count = targets.length;
  return {
    logits,
    targets,
    actionMask,
    temperature,
    nonFinite,
    logProbs: new Float32Array(count).fill(-99),
    logSumExp: new Float64Array(count).fill(-99),
    entropy: new Float32Array(count).fill(-99),
  };
}

function outputs({ logits, logProbs, logSumExp, entropy }: GatherLogProbsArgs, gaps: Float64Array): Output[] {
  return [
    {
      name: 'logProbs',
      values: logProbs,
      tolerance: {
        why: `the promise: ${LOG_PROB_ULP} + gap ULP, and half a ULP of the rounded reference`,
        allowed: (expected, n) => (LOG_PROB_ULP + gaps[n] + 0.5) * ulp32(expected),
      },
    },
    {
      name: 'logSumExp',
      values: logSumExp ?? [],
      tolerance: {
        why: 'm/T in float64, and log1p(s) as accurate as a log-prob; s is at most (V - 1) exp(-gap)',
        allowed: (expected, n) =>
          (LOG_PROB_ULP + gaps[n]) * 2 ** -23 * Math.log1p((logits.width - 1) * Math.exp(-gaps[n])) +
          4 * 2 ** -53 * Math.abs(expected),
      },
    },
    {
      name: 'entropy',
      values: entropy ?? [],
      tolerance: {
        why: 'the promise: 1e-6 relative, more where the argument of exp is itself rounded at the size of the gap',
        allowed: (expected, n) =>
          Math.max(ENTROPY_RELATIVE, gaps[n] * 2 ** -24) * Math.abs(expected) + ulp32(expected) / 2,
      },
    },
  ];
}

function caseOf(logitsCase: LogitsCase, dtype: DTypeOfLogits): OpCase<'gatherLogProbs'> {
  const input = makeLogits(logitsCase, dtype);
  return {
    op: 'gatherLogProbs',
    title: `${dtype} ${logitsCase.title}`,
    why: logitsCase.why,
    make: () => makeArgs(makeLogits(logitsCase, dtype), 'throw'),
    outputs: (args) => outputs(args, input.gaps),
  };
}

interface Bad {
  title: string;
  why: string;
  /** Spoils the row. */
  spoil(row: Float64Array, target: number): unknown;
  code: 'non-finite-logits' | 'non-finite-log-prob';
}

const BAD: readonly Bad[] = [
  {
    title: 'NaN',
    why: 'a NaN anywhere spoils the row',
    spoil: (row) => (row[row.length - 1] = Number.NaN),
    code: 'non-finite-logits',
  },
  {
    title: 'NaN at the target',
    why: 'the target is read on its own',
    spoil: (row, t) => (row[t] = Number.NaN),
    code: 'non-finite-logits',
  },
  {
    title: '+Infinity',
    why: 'the softmax of an infinity is NaN',
    spoil: (row) => (row[0] = Number.POSITIVE_INFINITY),
    code: 'non-finite-logits',
  },
  {
    title: 'only -Infinity',
    why: 'no token is possible',
    spoil: (row) => void row.fill(Number.NEGATIVE_INFINITY),
    code: 'non-finite-logits',
  },
  {
    title: 'target at -Infinity',
    why: 'sampled under another mask',
    spoil: (row, t) => (row[t] = Number.NEGATIVE_INFINITY),
    code: 'non-finite-log-prob',
  },
];

const BAD_ROWS = 9;

function badCases(dtype: DTypeOfLogits): OpCase<'gatherLogProbs'>[] {
  return BAD.flatMap(({ title, why, spoil, code }, i) =>
    [3, 40, 16400].flatMap((width) => {
      const logitsCase: LogitsCase = {
        title: `${title} in rows 4 and 7 of ${width}`,
        why,
        rows: width > 1000 ? 8 : BAD_ROWS,
        width,
        temperature: 1,
        seed: 500 + i,
        fill(row, n, { normal }) {
          for (let v = 0; v < row.length; v++) row[v] = normal();
          // Row 2 is bad as well, but masked out.
          if (n === 2 || n === 4 || n === 7) spoil(row, 1);
        },
        target: () => 1,
        mask: (n) => (n === 2 ? 0 : 1),
      };
      const input = makeLogits(logitsCase, dtype);
      const one = (nonFinite: NonFinite): OpCase<'gatherLogProbs'> => ({
        op: 'gatherLogProbs',
        title: `${dtype} ${logitsCase.title}, ${nonFinite}`,
        why,
        make: () => makeArgs(makeLogits(logitsCase, dtype), nonFinite),
        ...(nonFinite === 'propagate' ? {} : { status: { code, position: 4 } }),
        outputs: (args) => outputs(args, input.gaps),
      });
      return width === 40 ? [one('throw'), one('check-first'), one('propagate')] : [one('throw'), one('propagate')];
    }),
  );
}

/** Finite logits whose log-prob is below the range of float32: as useless to the caller as -Infinity. */
function overflowing(): OpCase<'gatherLogProbs'>[] {
  const range = (title: string, low: number, high: number, temperature: number): LogitsCase => ({
    title,
    why: 'log p overflows to -Infinity although every logit is finite',
    rows: 2,
    width: 40,
    temperature,
    seed: 600,
    fill(row) {
      row.fill(low);
      row[7] = high;
    },
    target: (_, n) => (n === 0 ? 7 : 8),
  });
  return [range('range 6e38', -3e38, 3e38, 1), range('temperature 1e-38', 0, 10, 1e-38)].map((logitsCase) => ({
    op: 'gatherLogProbs',
    title: `f32 ${logitsCase.title}`,
    why: logitsCase.why,
    make: () => makeArgs(makeLogits(logitsCase, 'f32'), 'throw'),
    status: { code: 'non-finite-log-prob', position: 1 },
    outputs: () => [],
  }));
}

function outside(target: number): OpCase<'gatherLogProbs'> {
  const make = () => {
    const args = makeArgs(makeLogits({ ...LOGITS_CASES[3], rows: 5 }, 'f32'), 'throw');
    args.targets[3] = target;
    return args;
  };
  return {
    op: 'gatherLogProbs',
    title: `target ${target} of a vocabulary of ${LOGITS_CASES[3].width}`,
    why: 'an index from the caller: refused before any write',
    make,
    status: { code: 'target-out-of-range', position: 3 },
    outputs: () => [],
  };
}

export const GATHER_CASES: readonly OpCase<'gatherLogProbs'>[] = [
  ...DTYPES.flatMap((dtype) => LOGITS_CASES.map((logitsCase) => caseOf(logitsCase, dtype))),
  ...DTYPES.flatMap(badCases),
  ...overflowing(),
  ...[-1, LOGITS_CASES[3].width, 2 ** 31 - 1, -(2 ** 31)].map(outside),
];
