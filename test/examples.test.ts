/** The examples run, short: they are the first code a newcomer reads, and must not rot. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const execute = promisify(execFile);
const run = (file: string, ...args: string[]) =>
  execute(process.execPath, [join(root, 'build', 'examples', file), ...args], { cwd: root, maxBuffer: 1 << 24 });

/** Invented conversations in the shape that the example reads: 4 tasks, 4 trials each; task 3 has no true actions. */
function conversations() {
  const say = (role: string, content: string) => ({ role, content });
  const cities = ['Oslo', 'Lima', 'Rome', 'Cairo'];
  return Array.from({ length: 16 }, (_, i) => {
    const task = i >> 2;
    const city = cities[task];
    const actions = task === 3 ? [] : [{ name: 'book', kwargs: { city, day: `${i % 4}` } }];
    const traj = [
      say('system', 'You book journeys. Ask for what is missing.'),
      say('user', `I want to go to ${city}.`),
      say('assistant', `Which day do you want to go to ${city}?`),
      say('user', `On day ${i % 4}, please.`),
      say('assistant', i % 3 === 0 ? `book city ${city} day ${i % 4}` : 'I am looking for it.'),
      say('tool', 'ok'),
      say('assistant', `Your journey to ${city} is booked.`),
    ];
    return { task_id: task, reward: i % 3 === 0 ? 1 : 0, info: { task: { actions } }, traj };
  });
}

describe('examples', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'turnwise-examples-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('loss_and_grad prints a loss', async () => {
    const { stdout } = await run('loss_and_grad.js');
    expect(stdout).toMatch(/loss -?\d+\.\d+, 28 tokens/);
  });

  it('search_agent: two steps give the same curve twice', { timeout: 120_000 }, async () => {
    const plot = join(folder, 'curve.svg');
    const short = ['--steps', '2', '--seed', '3', '--out', plot];
    await run('search_agent/main.js', ...short);
    const first = readFileSync(plot, 'utf8');
    await run('search_agent/main.js', ...short);
    expect(readFileSync(plot, 'utf8')).toBe(first);
    expect(first).toContain('<svg');
  });

  it('search_agent refuses an unknown flag', async () => {
    await expect(run('search_agent/main.js', '--estimater', 'grpo')).rejects.toMatchObject({
      code: expect.any(Number),
    });
  });

  it('real_trajectories: both backends agree on invented conversations', { timeout: 120_000 }, async () => {
    const file = join(folder, 'conversations.json');
    writeFileSync(file, JSON.stringify(conversations()));
    const { stdout } = await run('real_trajectories/main.js', file);
    expect(stdout).toContain('4 conversations have no true actions');
    expect(stdout.match(/ agrees$/gm)?.length).toBe(10);
  });
});
