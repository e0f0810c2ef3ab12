/** The documents of this repository and the fenced blocks in them. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** One fenced block. */
export interface Block {
  /** Path of its document, from the root. */
  readonly document: string;
  /** The line of its fence, counted from 1. */
  readonly line: number;
  /** The first word behind the fence. */
  readonly language: string;
  /** The second word: the file that the block is, or the reply that it shows. Empty where it has none. */
  readonly name: string;
  readonly text: string;
}

/** What is installed, built or kept by tools. */
const SKIPPED = /^(\..*|node_modules|target|dist|data)$/;

function walk(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.test(entry.name)) return [];
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return walk(path);
    return entry.name.endsWith('.md') ? [relative(ROOT, path)] : [];
  });
}

/** Every Markdown file, by its path from the root. */
export const documents: readonly string[] = walk(ROOT).sort();

export const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** The blocks of `document`. A fence that is never closed is an error, and so is one inside a list. */
export function blocksOf(document: string): Block[] {
  const found: Block[] = [];
  let open: { line: number; info: string; text: string[] } | null = null;
  for (const [at, line] of read(document).split('\n').entries()) {
    const fence = /^(\s*)(?:```|~~~)(.*)$/.exec(line);
    if (fence === null) {
      open?.text.push(line);
      continue;
    }
    if (fence[1] !== '') throw new Error(`${document}:${at + 1}: an indented fence is not read`);
    if (open === null) {
      open = { line: at + 1, info: fence[2]?.trim() ?? '', text: [] };
      continue;
    }
    const [language = '', name = ''] = open.info.split(/\s+/);
    found.push({ document, line: open.line, language, name, text: `${open.text.join('\n')}\n` });
    open = null;
  }
  if (open !== null) throw new Error(`${document}:${open.line}: a block is not closed`);
  return found;
}

export const blocks: readonly Block[] = documents.flatMap(blocksOf);

/** Where to find it, for messages. */
export const at = ({ document, line }: Block): string => `${document}:${line}`;

/** `authentication` for `docs/guides/authentication.md`. */
export const guideOf = (document: string): string => basename(document, '.md');

/** Whether the document is one of the guides. */
export const isGuide = (document: string): boolean => dirname(document) === 'docs/guides';

/** The block that is the file `path`, as `react/App.tsx`. */
export function program(path: string): Block {
  const [guide, name] = path.split('/');
  const found = blocks.filter(
    (block) => isGuide(block.document) && guideOf(block.document) === guide && block.name === name,
  );
  if (found.length !== 1) throw new Error(`${found.length} blocks are ${path}`);
  return found[0] as Block;
}

/** Files written from blocks, where imports find the packages of this repository. */
export class Programs {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Writes the named programs of the guides: `react/App.tsx` and so on. */
  static async write(): Promise<Programs> {
    await mkdir(join(ROOT, 'target'), { recursive: true });
    const programs = new Programs(await mkdtemp(join(ROOT, 'target', 'guides-')));
    await programs.put('package.json', '{"type":"module"}');
    for (const { document, language, name, text } of blocks) {
      if (!isGuide(document) || !/^(js|tsx?)$/.test(language) || name === '') continue;
      await programs.put(join(guideOf(document), name), text);
    }
    return programs;
  }

  async put(path: string, text: string): Promise<void> {
    const file = join(this.directory, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }

  /** The module that a program is, run. */
  async run<Module>(path: string): Promise<Module> {
    program(path);
    return (await import(/* @vite-ignore */ join(this.directory, path))) as Module;
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
