/** `npx turnwise`: every method listed, described and compared; a wrong call explains itself and exits with 1. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { describeEstimator, differences, STAGES } from '../lib/estimator/describe.js';
import { a2tgpo, estimator, grpo } from '../lib/index.js';
import { presets } from '../lib/presets/index.js';

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

interface Ended {
  code: number;
  out: string;
  err: string;
}

function turnwise(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
    });
  });
}

describe('turnwise estimators', () => {
  test('lists every method', async () => {
    const { code, out } = await turnwise('estimators');
    expect(code).toBe(0);
    const listed = out
      .split('\n')
      .slice(1)
      .map((line) => line.split(' ')[0])
      .filter(Boolean);
    expect(listed).toEqual(Object.keys(presets));
  });

  test('prints one: its stages, and data that gives it back', async () => {
    const { out } = await turnwise('estimators', 'a2tgpo');
    expect(out).toContain('information-gain per turn');
    expect(out).toContain('prompt-turn');
    expect(estimator(JSON.parse(out.slice(out.indexOf('{'))))).toEqual(a2tgpo());
    const json = await turnwise('estimators', 'grpo', '--json', '--options', '{"clip":[0.1,0.3]}');
    expect(JSON.parse(json.out)).toEqual(grpo({ clip: [0.1, 0.3] }));
  });

  test('a release’s defaults win over the values that stand in for required options', async () => {
    const verl = await turnwise('estimators', 'cispo', '--options', '{"compat":"verl"}');
    expect(verl.out).toContain('detached (low 0.2, high 0.2)');
    expect(verl.out).not.toContain('Required options');
    const paper = await turnwise('estimators', 'dr-grpo');
    expect(paper.out).toContain('Required options, shown with {"horizon":4096}');
  });

  test('compares two', async () => {
    const { out } = await turnwise('estimators', 'grpo', '--diff', 'grpo:{"clip":[0.1,0.2]}');
    expect(out).toMatch(/gate\.low +0\.2 +0\.1/);
    expect(out.trim().split('\n')).toHaveLength(2);
    expect((await turnwise('estimators', 'grpo', '--diff', 'grpo')).out).toMatch(/the same data/);
  });

  test.each([
    [['estimators', 'grpp'], /Did you mean "grpo"/],
    [['estimators', 'grpo', '--options', '{clip}'], /--options: expected a JSON object/],
    [['estimators', 'grpo', '--options', '{"cliprange":1}'], /did you mean "clip"/],
    [['estimators', 'grpo', 'a2tgpo'], /name: expected one method/],
    [['estimators', '--diff', 'grpo'], /name: expected a method, received none/],
    [['estimatosr'], /Did you mean "estimators"/],
    [['estimators', '--bogus'], /bogus/],
    [['estimators', 'toString'], /name: expected/],
  ])('%j is refused', async (args, message) => {
    const { code, out, err } = await turnwise(...args);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\n +at /);
  });

  test('help and info', async () => {
    expect((await turnwise()).out).toMatch(/^Usage: turnwise/);
    expect((await turnwise('--help')).out).toMatch(/--diff/);
    expect(JSON.parse((await turnwise('info')).out)).toHaveProperty('backend');
  });
});

describe('a description', () => {
  test('has every stage, and nothing for one that is off', () => {
    const description = describeEstimator(grpo());
    expect(Object.keys(description)).toEqual([...STAGES]);
    expect(description).toMatchObject({ signal: 'outcome per sequence', combine: '', weights: '', 'KL, entropy': '' });
  });

  test('tells apart any two presets that differ', () => {
    expect(differences(grpo(), a2tgpo()).map(([path]) => path)).toContain('gate.low');
    expect(differences({ a: [1, { b: null }] }, { a: [1, { b: 0 }], c: 1 })).toEqual([
      ['a[1].b', null, 0],
      ['c', undefined, 1],
    ]);
  });
});
