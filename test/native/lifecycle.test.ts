/** Environments come and go: worker threads, terminate during work, process.exit during work, loading twice. */
import { spawnSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';

import { binaryPath, fixture, native } from './helpers.js';

interface Message {
  statuses?: string[];
  running?: true;
}

function startWorker(task: string): Worker {
  return new Worker(fixture('worker.mjs'), { workerData: { binary: binaryPath(), task } });
}

function message(worker: Worker): Promise<Message> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function exit(worker: Worker): Promise<number> {
  return new Promise((resolve) => worker.once('exit', resolve));
}

function run(task: string) {
  const started = performance.now();
  const child = spawnSync(process.execPath, ['--expose-gc', fixture('process.mjs'), binaryPath(), task], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return {
    code: child.status,
    signal: child.signal,
    out: child.stdout.trim(),
    err: child.stderr,
    ms: performance.now() - started,
  };
}

describe('workers', () => {
  test('four at a time, each with its own queue', async () => {
    const workers = Array.from({ length: 4 }, () => startWorker('short'));
    const results = await Promise.all(workers.map(message));
    for (const { statuses } of results) expect(statuses).toEqual(Array(20).fill('ok'));
    expect(await Promise.all(workers.map((worker) => worker.terminate()))).toBeDefined();
  });

  test('a worker that ends by itself has settled its jobs', async () => {
    const worker = startWorker('short');
    const ended = exit(worker);
    expect((await message(worker)).statuses).toEqual(Array(20).fill('ok'));
    expect(await ended).toBe(0);
  });

  test('terminate during work: at once, and the memory comes back', async () => {
    expect(native.memory.liveBytes()).toBe(0);
    const workers = Array.from({ length: 4 }, () => startWorker('endless'));
    await Promise.all(workers.map(message));
    expect(native.memory.liveBytes()).toBeGreaterThan(0);
    const started = performance.now();
    await Promise.all(workers.map((worker) => worker.terminate()));
    // Each had many seconds of work left, and stopped at a row.
    expect(performance.now() - started).toBeLessThan(1500);
    expect(native.memory.liveBytes()).toBe(0);
  });

  test('process.exit in a worker during work', async () => {
    const worker = startWorker('exit');
    expect(await exit(worker)).toBe(7);
  });

  test('one after another in a process whose main thread never loads the add-on', () => {
    const result = run('workers-only');
    expect(result).toMatchObject({ code: 0, signal: null, out: 'done', err: '' });
  });
});

describe('the process', () => {
  test('process.exit during work keeps the code, at once', () => {
    const result = run('exit');
    expect(result).toMatchObject({ code: 3, signal: null, err: '' });
    expect(result.ms).toBeLessThan(3000); // of a job of many seconds
  });

  test('stays alive until its jobs are done, and no longer', () => {
    expect(run('settle')).toMatchObject({ code: 0, signal: null, out: 'ok', err: '' });
  });

  test('the add-on loaded twice: two instances, both work', () => {
    expect(run('twice')).toMatchObject({ code: 0, signal: null, out: 'ok ok', err: '' });
  });

  test('with one libuv thread, the file system does not wait for a job', () => {
    expect(run('one-libuv-thread')).toMatchObject({ code: 0, signal: null, out: 'file first', err: '' });
  });

  test('under constant garbage collection the bits stay', () => {
    expect(run('gc-stress')).toMatchObject({ code: 0, signal: null, out: 'same', err: '' });
  });
});
