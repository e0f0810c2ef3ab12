/** The configuration files of the documents, as `chatsdk` reads them. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { at, blocks, ROOT } from './support/documents.ts';

const BINARY = resolve(ROOT, process.env.CHATSDK_BIN ?? 'target/debug/chatsdk');
const shown = blocks.filter(({ language }) => language === 'toml');

it('there are some', () => expect(shown).not.toEqual([]));

it.each(shown.map((block) => [at(block), block.text]))('%s: every setting is taken', async (_, text) => {
  const directory = await mkdtemp(join(tmpdir(), 'chatsdk-guides-'));
  try {
    const file = join(directory, 'chatsdk.toml');
    await writeFile(file, text);
    const words = ['config', '--json', '--config', file, '--data-dir', directory];
    const { stdout } = await promisify(execFile)(BINARY, words, { env: { PATH: process.env.PATH } });
    const taken = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { key: string; source: string })
      .filter(({ source }) => source === file);
    let table = '';
    const wanted = text.split('\n').flatMap((line) => {
      table = /^\[(.+)\]$/.exec(line)?.[1] ?? table;
      const key = /^(\w+) *=/.exec(line)?.[1];
      return key === undefined ? [] : [table === '' ? key : `${table}.${key}`];
    });
    expect(wanted).not.toEqual([]);
    expect(taken.map(({ key }) => key).sort()).toEqual(wanted.sort());
  } finally {
    await rm(directory, { recursive: true });
  }
});
