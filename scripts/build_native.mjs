// Builds the CPU add-on into build/Release/turnwise.node. Quiet when it works; when it does not, the compiler's words and a remedy.
//
// Needs a C++17 compiler, make and Python 3 (for node-gyp), and no network: the headers of the running node are used where
// they lie beside it. Extra arguments go to node-gyp (`--debug`).
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');

/** What to say for a failure whose output matches. */
const REMEDIES = [
  [
    /not find any Python|python3?: not found/i,
    'Python 3 is missing: install python3 (node-gyp needs it), or set PYTHON to its path.',
  ],
  [
    /not found: make|make: not found|spawn make ENOENT/i,
    'make is missing: apt-get install build-essential, dnf install gcc-c++ make, or xcode-select --install.',
  ],
  [
    /g\+\+: (not found|No such file)|c\+\+: (not found|No such file)|clang\+\+: (not found|No such file)|find Visual Studio|No Xcode/i,
    'A C++17 compiler is missing: apt-get install build-essential, dnf install gcc-c++ make, xcode-select --install, or the Visual Studio C++ workload.',
  ],
  [
    /nodejs\.org|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|fetch failed/i,
    "node's headers are missing and could not be downloaded: install them (libnode-dev), or pass --nodedir=<prefix with include/node>.",
  ],
];

/** `--nodedir` for the headers installed with the running node, or nothing: then node-gyp looks for its own copy. */
function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include', 'node', 'node_api.h')) ? [`--nodedir=${prefix}`] : [];
}

const given = process.argv.slice(2);
const headers = given.some((argument) => argument.startsWith('--nodedir')) ? [] : nodeHeaders();
// Containers run as users without a home, and node-gyp refuses to start there, though with headers at hand it stores nothing.
const env = { ...process.env, HOME: process.env.HOME || tmpdir() };
// Not `rebuild`, which deletes build/ with all that is not ours in it; make compiles what changed, flags included.
const command = [nodeGyp, 'configure', 'build', `--jobs=${availableParallelism()}`, ...headers, ...given];
const result = spawnSync(process.execPath, command, { cwd: root, env, encoding: 'utf8', maxBuffer: 1 << 28 });

if (result.status !== 0) {
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}`;
  if (result.error) process.stderr.write(`${result.error.message}\n`);
  process.stderr.write(output);
  const remedies = REMEDIES.filter(([pattern]) => pattern.test(output)).map(([, remedy]) => remedy);
  process.stderr.write('\nThe native add-on was not built.\n');
  for (const remedy of remedies) process.stderr.write(`  ${remedy}\n`);
  process.stderr.write(
    '  Without it turnwise runs on its TypeScript reference, which is slow; see info().nativeUnavailable.\n',
  );
  process.exit(1);
}
