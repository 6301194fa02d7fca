/** vitest's global setup of the CUDA tests: the add-on with an emulated GPU, brought up to date (a minute the first time). */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './tree.mjs';

export default function requireEmulated() {
  const script = join(root, 'scripts', 'build_emulated.mjs');
  const { status } = spawnSync(process.execPath, [script], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status === 0) return;
  console.error('the CUDA tests need the add-on with an emulated GPU: `npm run build:emulated`');
  process.exit(1);
}
