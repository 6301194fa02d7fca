#!/usr/bin/env node
/** `npx turnwise <command>`: what one wants to know without writing a program. */
import { parseArgs } from 'node:util';
import { Fields } from '../check/fields.js';
import { estimatorsCommand, estimatorsHelp } from './estimators.js';
import { infoCommand } from './info.js';

const HELP = `Usage: turnwise <command>

  info                      backend, SIMD target, threads, and why CUDA is missing
${estimatorsHelp}`;

function run(argv: string[]): string {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      json: { type: 'boolean' },
      diff: { type: 'string' },
      options: { type: 'string' },
    },
  });
  const [command, ...names] = positionals;
  if (values.help || command === undefined) return HELP;
  if (command === 'estimators') return estimatorsCommand(names, values);
  if (command === 'info' && names.length === 0 && Object.keys(values).length === 0) return infoCommand();
  return new Fields({ command: argv.join(' ') }, '').oneOf('command', ['estimators', 'info']);
}

try {
  console.log(run(process.argv.slice(2)));
} catch (error) {
  // parseArgs throws TypeErrors that explain themselves; anything else is a defect and keeps its stack.
  if (!(error instanceof TypeError)) throw error;
  console.error(`turnwise: ${error.message}`);
  process.exitCode = 1;
}
