/**
 * vitest's global setup: the tests run against the add-on that `npm ci` builds. Without it the library would fall back to
 * the reference backend, and a suite that compares the two would pass while comparing one with itself.
 */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { devAddon, readManifest, root, sourceNewerThan } from './tree.mjs';

export default function requireBuild() {
  const addon = devAddon();
  const missing = [addon, join(root, readManifest().main)].filter((path) => !existsSync(path));
  if (missing.length > 0) {
    const names = missing.map((path) => relative(root, path)).join(' and ');
    console.error(`${names} must be built before the tests run: \`npm ci\` or \`npm run build\``);
    // An exception would bury the sentence under a stack trace.
    process.exit(1);
  }
  const newer = sourceNewerThan(addon);
  if (newer) {
    const names = [addon, newer].map((path) => relative(root, path));
    console.warn(`warning: ${names.join(' is older than ')}; \`npm run build:native\` renews it`);
  }
}
