/** What `npm pack` puts into the packages that are published. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));
const LICENCES = ['LICENSE-APACHE', 'LICENSE-MIT'];

interface Packed {
  readonly files: readonly { readonly path: string }[];
}

describe.each(['core', 'server', 'react-native'])('@chatsdk/%s', (name) => {
  const home = join(ROOT, 'packages', name);

  it('holds its sources, what was built of each, and what tells of it; no more', async () => {
    const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json'], { cwd: home });
    const [packed] = JSON.parse(stdout) as Packed[];
    const found = packed?.files.map(({ path }) => path).sort();
    const sources = (await readdir(join(home, 'src'), { recursive: true })).filter((path) =>
      path.endsWith('.ts'),
    );
    // What only declares something is for the build alone.
    const modules = sources.filter((path) => !path.endsWith('.d.ts')).map((path) => path.slice(0, -3));
    const built = ['.d.ts', '.d.ts.map', '.js', '.js.map'].flatMap((end) =>
      modules.map((one) => `dist/${one}${end}`),
    );
    const wanted = [
      'README.md',
      'package.json',
      ...LICENCES,
      ...sources.map((path) => `src/${path}`),
      ...built,
    ];
    expect(found).toEqual(wanted.sort());
  });

  it('is published for everybody', async () => {
    const { publishConfig } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'));
    // A name with a scope is private unless told.
    expect(publishConfig).toEqual({ access: 'public' });
  });

  it('has the licences of the project', async () => {
    for (const licence of LICENCES) {
      expect(await readFile(join(home, licence), 'utf8')).toBe(await readFile(join(ROOT, licence), 'utf8'));
    }
  });
});
