/**
 * docs/estimators.md, made from the presets: their stages from the estimators they return, their prose from their docstrings, the
 * differences between releases from the data. `--write` writes it; without it the script fails where the file is stale.
 *
 * The only hand-written part is docs/stages.md, which it links to.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describeEstimator, differences, STAGES } from '../dist/estimator/describe.js';
import { makePreset, presets } from '../dist/presets/index.js';
import { filesUnder, root } from './tree.mjs';

const target = join(root, 'docs', 'estimators.md');
const names = Object.keys(presets);
const make = (name, options = {}) => makePreset(name, options).estimator;

/** Text of the comment above each exported function of lib/presets, by its name. */
function docstrings() {
  const found = new Map();
  for (const path of filesUnder(join(root, 'lib', 'presets')).filter((one) => one.endsWith('.ts'))) {
    const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true);
    source.forEachChild((node) => {
      if (!ts.isFunctionDeclaration(node) || !node.name) return;
      const comment = node.jsDoc?.at(-1)?.getText();
      if (comment) found.set(node.name.text, plain(comment));
    });
  }
  return found;
}

function plain(comment) {
  const lines = comment
    .replace(/^\/\*\*/, '')
    .replace(/\*\/$/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''));
  return lines.join('\n').trim();
}

/** Formulas are indented in docstrings; a code fence keeps them in columns here. */
function fenced(text) {
  const isFormula = (block) => block.split('\n').every((line) => line.startsWith('  '));
  return text
    .split(/\n\s*\n/)
    .map((block) => (isFormula(block) ? `\`\`\`\n${block.replace(/^ {2}/gm, '')}\n\`\`\`` : block))
    .join('\n\n');
}

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', '<br>');
const row = (cells) => `| ${cells.map(cell).join(' | ')} |`;
const table = (head, rows) => [row(head), `|${'---|'.repeat(head.length)}`, ...rows.map(row)].join('\n');

function stageTable() {
  return table(
    ['method', ...STAGES],
    names.map((name) => {
      const description = describeEstimator(make(name));
      return [`[${name}](#${name.toLowerCase()})`, ...STAGES.map((stage) => description[stage])];
    }),
  );
}

/** What a release differs in, as data: `make` refuses a release that has no defaults of its own. */
function compatTable() {
  const show = (value) => (value === undefined ? '' : JSON.stringify(value));
  const rows = names.flatMap((name) =>
    ['verl', 'trl'].flatMap((compat) => {
      let release;
      try {
        release = make(name, { compat });
      } catch (error) {
        if (error.path === 'compat') return [];
        throw error;
      }
      return differences(make(name), release).map(([path, paper, theirs]) => [
        name,
        compat,
        path,
        show(paper),
        show(theirs),
      ]);
    }),
  );
  return table(['method', 'compat', 'where', 'paper', 'release'], rows);
}

function methods() {
  const prose = docstrings();
  return names.map((name) => {
    if (!prose.has(name)) throw new Error(`lib/presets: ${name} has no docstring`);
    const { example } = presets[name];
    const required = example ? `\n\nRequired options, shown here with \`${JSON.stringify(example)}\`.` : '';
    return `### ${name}\n\n${fenced(prose.get(name))}${required}`;
  });
}

const text = `<!-- Made by \`npm run docs\` from lib/presets; edits here are lost. -->

# Estimators

Every method is data: the same stages with other settings ([stages.md](stages.md) explains them). \`npx turnwise estimators <name>\` prints one,
\`--diff <other>\` where two differ. A cell with several lines has one per channel; an empty one means that the stage is off.

${stageTable()}

## Where releases differ from the paper

\`compat: 'verl'\` or \`'trl'\` gives these settings. Options that are given win over both. Where no row stands, the release has no setting of its own here.

${compatTable()}

## Methods

${methods().join('\n\n')}
`;

if (process.argv.includes('--write')) {
  writeFileSync(target, text);
} else if (readFileSync(target, 'utf8') !== text) {
  console.error('docs/estimators.md is not what the presets say: run `npm run docs`');
  process.exit(1);
}
