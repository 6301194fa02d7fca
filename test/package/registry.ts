/**
 * A registry on this machine that has the package's own dependencies and nothing else, and tells what it was asked for.
 * An install that is pointed at it needs no network, and cannot reach one unseen.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { plainEnvironment, readJson, root } from './tarball.js';

export interface Registry {
  url: string;
  /** Names asked for, in order. */
  requests: string[];
  close(): void;
}

/** Serves the packages of `names` as they are installed in this checkout. */
export async function startRegistry(names: string[], folder: string): Promise<Registry> {
  const requests: string[] = [];
  const packages = new Map(names.map((name) => [name, packInstalled(name, folder)]));
  const server = createServer((request, response) => {
    const [, name, file] = decodeURIComponent(request.url ?? '').split('/');
    requests.push(name);
    const found = packages.get(name);
    if (!found) response.writeHead(404).end('{}');
    else if (file === undefined) response.end(JSON.stringify(packument(found, registry.url)));
    else response.end(found.bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const registry = { url: `http://127.0.0.1:${port}`, requests, close: () => void server.close() };
  return registry;
}

type Packed = ReturnType<typeof packInstalled>;

function packInstalled(name: string, folder: string) {
  const source = join(root, 'node_modules', name);
  const options = { cwd: folder, env: plainEnvironment(), encoding: 'utf8' as const };
  const args = ['pack', source, '--ignore-scripts', '--json', '--offline'];
  const [{ filename }] = JSON.parse(execFileSync('npm', args, options));
  return { manifest: readJson(join(source, 'package.json')), bytes: readFileSync(join(folder, filename)) };
}

function packument({ manifest, bytes }: Packed, url: string) {
  const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  const dist = { integrity, tarball: `${url}/${manifest.name}/${manifest.version}.tgz` };
  return {
    name: manifest.name,
    'dist-tags': { latest: manifest.version },
    versions: { [manifest.version]: { ...manifest, dist } },
  };
}
