/** The types of the public API: right uses compile, and each wrong use is a compile error. */
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const FILES = ['types/right_uses.ts', 'types/wrong_uses.ts'];

function problems(): string[] {
  const config = ts.getParsedCommandLineOfConfigFile(
    path('../tsconfig.base.json'),
    {},
    {
      ...ts.sys,
      onUnRecoverableConfigFileDiagnostic: ({ messageText }) => {
        throw new Error(ts.flattenDiagnosticMessageText(messageText, '\n'));
      },
    },
  );
  const emit = {
    noEmit: true,
    composite: false,
    incremental: false,
    declaration: false,
    sourceMap: false,
    inlineSources: false,
  };
  const program = ts.createProgram(FILES.map(path), { ...config?.options, ...emit });
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    return `${file?.fileName}:${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
}

test('right uses compile, wrong uses do not', { timeout: 120_000 }, () => {
  // A wrong use that compiles leaves its @ts-expect-error unused, which is an error itself.
  expect(problems()).toEqual([]);
});
