/** The command line of the demo. */

import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';

export interface Options {
  estimator: 'a2tgpo' | 'grpo';
  /** First seed and number of seeds; each is a run of its own. */
  seed: number;
  seeds: number;
  steps: number;
  /** Where the plot goes. */
  out: string;
}

const usage = `Trains a small search agent end to end through the turnwise loss.

  npm run demo -- [options]

  --estimator a2tgpo|grpo   how turns get credit            (a2tgpo)
  --steps N                 training steps of a run         (120)
  --seeds N                 runs, with seeds s, s+1, ...    (1)
  --seed S                  seed of the first run           (0)
  --out FILE                SVG plot of the success rate    (out/search_agent.svg)
  --help                    this text
`;

/** Reads the arguments; ends the process with a message and exit code 2 on wrong ones. */
export function readOptions(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      strict: true,
      options: {
        estimator: { type: 'string', default: 'a2tgpo' },
        steps: { type: 'string', default: '120' },
        seeds: { type: 'string', default: '1' },
        seed: { type: 'string', default: '0' },
        out: { type: 'string', default: 'out/search_agent.svg' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(usage);
      process.exit(0);
    }
    const { estimator } = values;
    if (estimator !== 'a2tgpo' && estimator !== 'grpo') {
      throw new Error(`--estimator: expected a2tgpo or grpo, received "${estimator}"`);
    }
    checkWritable(values.out);
    return {
      estimator,
      steps: integer('--steps', values.steps, 1),
      seeds: integer('--seeds', values.seeds, 1),
      seed: integer('--seed', values.seed, 0),
      out: values.out,
    };
  } catch (problem) {
    process.stderr.write(`${problem instanceof Error ? problem.message : problem}\n\n${usage}`);
    process.exit(2);
  }
}

function integer(name: string, text: string, least: number): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < least) {
    throw new Error(`${name}: expected an integer of at least ${least}, received "${text}"`);
  }
  return value;
}

/** Now, and not after the training. */
function checkWritable(file: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    closeSync(openSync(file, 'a'));
  } catch (problem) {
    throw new Error(`--out: cannot write ${file} (${problem instanceof Error ? problem.message : problem})`);
  }
}
