/** No block of any document is unchecked, and no link of a guide leads nowhere. */
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, it } from 'vitest';
import {
  at,
  type Block,
  blocks,
  blocksOf,
  documents,
  guideOf,
  isGuide,
  ROOT,
  read,
} from './support/documents.ts';

/** Who checks the blocks of a language. Each of these finds them by itself, in every document but those in `OWN`. */
const CHECKED: Readonly<Record<string, string>> = {
  ts: 'tests/guides/types.test.ts',
  tsx: 'tests/guides/types.test.ts',
  sh: 'tests/guides/shell.test.ts',
  toml: 'tests/guides/settings.test.ts',
  json: 'tests/guides/replies.test.ts',
  python: 'tests/guides/test_python.py',
  go: 'tests/guides/plain-http.test.ts',
  ruby: 'tests/guides/plain-http.test.ts',
};

/** Documents that have a test of their own for a language. */
const OWN: readonly { document: string; language: string; by: string }[] = [
  {
    document: 'packages/core/README.md',
    language: 'ts',
    by: 'packages/core/test/integration/readme.test.ts',
  },
  {
    document: 'packages/server/README.md',
    language: 'js',
    by: 'packages/server/test/integration/readme.test.ts',
  },
  {
    document: 'packages/react-native/README.md',
    language: 'ts',
    by: 'tests/snippets/frontend/native.test.ts',
  },
  { document: 'python/README.md', language: 'python', by: 'python/tests/test_readme.py' },
];

/** What nothing checks, and why. */
const EXEMPT: Readonly<Record<string, string>> = {
  nginx: 'a configuration of another program, which the tests would have to install',
  caddyfile: 'a configuration of another program, which the tests would have to install',
};

/** Programs that are compiled and not run. */
const TYPES_ALONE: Readonly<Record<string, string>> = {
  'react-native/ChatStatus.tsx': 'a component for a device; tests/examples draws one like it',
};

const TESTS = ['backend.test.ts', 'native.test.ts', 'replies.test.ts', 'web.test.ts', 'page/main.tsx'].map(
  (name) => read(join('tests/guides', name)),
);

/** What is wrong with how a block is checked, or null. */
function fault(block: Block): string | null {
  const { document, language, name, text } = block;
  if (language === '') return /[─│▶◀◄►]/.test(text) ? null : 'has no language and is no drawing';
  if (language in EXEMPT) return null;
  const own = OWN.find((entry) => entry.document === document && entry.language === language);
  if (own !== undefined) return read(own.by).includes('README.md') ? null : `${own.by} does not read it`;
  if (language === 'js' && !isGuide(document)) return 'is JavaScript, which is run in the guides alone';
  if (language === 'python' && !isGuide(document)) return 'is Python, which is run in the guides alone';
  if (language === 'js' && name === '') return 'is JavaScript without a name, so that no test can run it';
  if (language === 'text') return name === 'doctor' ? null : 'is the output of nothing that a test knows';
  if (language === 'js' || ((language === 'ts' || language === 'tsx') && name !== '')) {
    const path = `${guideOf(document)}/${name}`;
    if (path in TYPES_ALONE) return null;
    if (!TESTS.some((test) => test.includes(path))) return `is the program ${path}, which no test runs`;
    return null;
  }
  const by = CHECKED[language];
  if (by === undefined) return `is of the language ${language}, which nothing checks`;
  return existsSync(join(ROOT, by)) ? null : `${by} is not there`;
}

it('every block of every document is checked', () => {
  expect(documents).toContain('docs/guides/authentication.md');
  expect(documents).toContain('README.md');
  const faults = blocks.flatMap((block) => {
    const found = fault(block);
    return found === null ? [] : [`${at(block)} ${found}`];
  });
  expect(faults).toEqual([]);
});

it('what has a test of its own, or is named as an exception, is there', () => {
  for (const { document, language } of OWN) {
    expect(blocksOf(document).some((block) => block.language === language)).toBe(true);
  }
  for (const language of Object.keys(EXEMPT)) {
    expect(blocks.some((block) => block.language === language)).toBe(true);
  }
});

it('a block that nothing checks is found', () => {
  const block = { document: 'docs/guides/x.md', line: 1, name: '', text: 'x\n' };
  for (const language of ['', 'js', 'perl', 'text']) expect(fault({ ...block, language })).not.toBeNull();
  expect(fault({ ...block, language: 'ts', name: 'nobody-runs-it.ts' })).not.toBeNull();
  expect(fault({ ...block, document: 'README.md', language: 'python' })).not.toBeNull();
});

/** The anchors of the headings of a document, as GitHub makes them. */
function anchors(document: string): string[] {
  return [...read(document).matchAll(/^#+ (.*)$/gm)].map((heading) =>
    (heading[1] ?? '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-'),
  );
}

it('every link of a document to another leads somewhere', () => {
  const broken = documents.flatMap((document) =>
    [...read(document).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
      if (/^[a-z]+:/.test(link)) return [];
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? document : normalize(join(dirname(document), path));
      if (!existsSync(join(ROOT, target))) return [`${document} → ${link}`];
      if (anchor !== undefined && !anchors(target).includes(anchor)) return [`${document} → ${link}`];
      return [];
    }),
  );
  expect(broken).toEqual([]);
});
