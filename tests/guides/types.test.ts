/** The TypeScript of the documents, under the strictest settings of the compiler. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { blocks, isGuide, Programs, ROOT } from './support/documents.ts';

/** What the front page takes from the app that its code stands in. */
const APP = `
declare global {
  const accessToken: string;
  const refreshToken: string;
  const expiresAt: number;
}
export {};
`;

const native = (name: string): string[] => [join(ROOT, 'tests/snippets/frontend/support', name)];

it('compiles', async () => {
  const programs = await Programs.write();
  try {
    // What is no file of its own in a guide, and the blocks of the front page.
    for (const { document, line, language, name, text } of blocks) {
      const loose = isGuide(document) ? name === '' : document === 'README.md';
      if (loose && /^tsx?$/.test(language)) await programs.put(`loose/${document}-${line}.${language}`, text);
    }
    await programs.put('loose/app.d.ts', APP);
    const config = {
      extends: join(ROOT, 'tsconfig.base.json'),
      compilerOptions: {
        module: 'ESNext',
        moduleResolution: 'Bundler',
        moduleDetection: 'force',
        jsx: 'react-jsx',
        paths: {
          '@react-native-async-storage/async-storage': native('async-storage.ts'),
          '@react-native-community/netinfo': native('net-info.ts'),
          'expo-secure-store': native('expo-secure-store.ts'),
        },
      },
      include: [
        '.',
        join(ROOT, 'packages/react-native/src/react-native.d.ts'),
        join(ROOT, 'tests/snippets/frontend/support/react-native.d.ts'),
      ],
    };
    await programs.put('tsconfig.json', JSON.stringify(config));
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
    const outcome = await promisify(execFile)(process.execPath, [compiler, '-p', programs.directory]).catch(
      (error: unknown) => error as { stdout: string },
    );
    expect(outcome.stdout).toBe('');
  } finally {
    await programs.remove();
  }
});

it('every block of TypeScript is in a document that is compiled here, or has a test of its own', () => {
  const elsewhere = blocks.filter(
    ({ document, language }) => /^tsx?$/.test(language) && !isGuide(document) && document !== 'README.md',
  );
  // The inventory names their tests.
  expect([...new Set(elsewhere.map(({ document }) => document))].sort()).toEqual([
    'packages/core/README.md',
    'packages/react-native/README.md',
  ]);
});
