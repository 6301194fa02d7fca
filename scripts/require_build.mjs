/**
 * vitest's global setup: the tests run against the add-on that `npm ci` builds. Without it the library would fall back to
 * the reference backend, and a suite that compares the two would pass while comparing one with itself.
 */
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { devAddon, root, sourceNewerThan } from './tree.mjs';

export default function requireBuild() {
  const addon = devAddon();
  const name = relative(root, addon);
  if (!existsSync(addon)) throw new Error(`${name} is missing: build it first with \`npm ci\` or \`npm run build\``);
  const newer = sourceNewerThan(addon);
  if (newer)
    console.warn(`warning: ${name} is older than ${relative(root, newer)}; \`npm run build:native\` renews it`);
}
