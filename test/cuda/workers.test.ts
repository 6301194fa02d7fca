/** Worker threads that use one GPU at once, end, or are ended: their results are those of one thread, and their memory comes back. */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { describeCuda, taken } from '../support/on_device.js';

function start(task: 'steps' | 'endless'): { worker: Worker; losses: Promise<number[]>; ended: Promise<void> } {
  const worker = new Worker(fileURLToPath(new URL('./fixtures/worker.mjs', import.meta.url)), { workerData: { task } });
  const losses = new Promise<number[]>((resolve, reject) => {
    worker.once('message', (message: { losses: number[] }) => resolve(message.losses));
    worker.once('error', reject);
  });
  return { worker, losses, ended: new Promise((resolve) => worker.once('exit', () => resolve())) };
}

describeCuda('workers', () => {
  test('three at a time: the losses of one, and nothing stays on the device', async () => {
    const alone = start('steps');
    const expected = await alone.losses;
    await alone.ended;
    expect(new Set(expected).size).toBe(1);
    expect(Number.isFinite(expected[0])).toBe(true);
    // What the runtime keeps for the next call grows with the number of calls at once, up to a point.
    const round = async () => {
      const workers = [start('steps'), start('steps'), start('steps')];
      for (const { losses } of workers) expect(await losses).toEqual(expected);
      await Promise.all(workers.map(({ ended }) => ended));
      return taken();
    };
    const rounds = [await round(), await round(), await round()];
    expect(rounds[2]).toBeLessThanOrEqual(Math.max(rounds[0], rounds[1]));
  });

  test('ended in the middle of calls', async () => {
    const end = async () => {
      const { worker, losses } = start('endless');
      await losses;
      await worker.terminate();
      return taken();
    };
    const rounds = [await end(), await end(), await end()];
    expect(rounds[2]).toBeLessThanOrEqual(Math.max(rounds[0], rounds[1]));
  });
});
