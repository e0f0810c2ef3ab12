/** What an app pays for the package, minified and compressed. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { expect, it } from 'vitest';

const INDEX = fileURLToPath(new URL('../../src/index.ts', import.meta.url));

/** The size in bytes of what `source` becomes. */
async function size(source: string, external: string[]): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'chatsdk-size-'));
  const entry = join(directory, 'app.js');
  await writeFile(entry, source);
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { conditions: ['browser', 'module', 'import', 'default'] },
    build: {
      write: false,
      minify: true,
      lib: { entry, formats: ['es'] },
      rolldownOptions: { external, output: { minify: true } },
    },
  });
  await rm(directory, { recursive: true });
  const outputs = [built].flat().flatMap((one) => ('output' in one ? one.output : []));
  const code = outputs.map((one) => (one.type === 'chunk' ? one.code : '')).join('');
  expect(code.includes('from"centrifuge"')).toBe(external.includes('centrifuge'));
  // Notes for the bundler of an app, whose own output has them no more.
  return gzipSync(code.replaceAll('/* @__PURE__ */ ', ''), { level: 9 }).length;
}

const CLIENT = `export { ChatSDK } from ${JSON.stringify(INDEX)};`;
const EVERYTHING = `export * from ${JSON.stringify(INDEX)};`;

// What holds how much of it: docs/architecture.md.
it('of our own, a client is at most 14 KB', async () => {
  expect(await size(CLIENT, ['centrifuge'])).toBeLessThanOrEqual(14 * 1_024);
});

it('with the dependency, all that is exported is at most 38 KB', async () => {
  expect(await size(EVERYTHING, [])).toBeLessThanOrEqual(38 * 1_024);
});
