/** The code of the README, under the strictest settings of the compiler. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

/** What the snippets take from the app that they stand in. */
const APP = `
declare global {
  function showOfflineBanner(): void;
  function redirectToLogin(): void;
  const accessToken: string;
  const expiresAt: number;
}
export {};
`;

it('compiles', { timeout: 60_000 }, async () => {
  const text = await readFile(join(ROOT, 'packages/core/README.md'), 'utf8');
  const blocks = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  expect(blocks.length).toBeGreaterThanOrEqual(2);
  await mkdir(join(ROOT, 'target'), { recursive: true });
  const directory = await mkdtemp(join(ROOT, 'target', 'readme-'));
  try {
    await writeFile(join(directory, 'app.d.ts'), APP);
    for (const [n, block] of blocks.entries()) await writeFile(join(directory, `block-${n}.ts`), block);
    const config = {
      extends: join(ROOT, 'tsconfig.base.json'),
      compilerOptions: { moduleDetection: 'force', module: 'ESNext', moduleResolution: 'bundler' },
      include: ['.'],
    };
    await writeFile(join(directory, 'package.json'), '{"type":"module"}');
    await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(config));
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
    const outcome = await promisify(execFile)(process.execPath, [compiler, '-p', directory]).catch(
      (error: unknown) => error as { stdout: string },
    );
    expect(outcome.stdout).toBe('');
  } finally {
    await rm(directory, { recursive: true });
  }
});
