/** The copies that are compiled and run are still the text of the specification. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const HERE = new URL('.', import.meta.url);

/**
 * The lines that are not the specification's, and those of it that they replace. Nothing else of it is changed or left
 * out.
 */
const CORRECTIONS: Record<string, { ours: string[]; theirs?: string[] }> = {
  // Its backend has a POST route here, and fetch sends GET unless told.
  react: {
    ours: [
      '// Corrected: the backend of the guide has a POST route here, and fetch sends GET unless told.',
      "method: 'POST',",
    ],
  },
  'react-native': {
    ours: [
      '// Corrected: the backend of the guide has a POST route, and fetch sends GET unless told.',
      "method: 'POST',",
    ],
  },
  // Addresses that are dots lead nowhere.
  'custom-buffer': {
    ours: [
      "// Corrected: the guide leaves the addresses out ('...').",
      "apiUrl: 'https://api.yourdomain.com',",
      "wsUrl: 'wss://api.yourdomain.com/ws',",
    ],
    theirs: ["apiUrl: '...',", "wsUrl: '...',"],
  },
  'token-expired': { ours: ['apiUrl,', 'wsUrl,'], theirs: ["apiUrl: '...',", "wsUrl: '...',"] },
  // The effect uses `sdk`, which does not change.
  'local-storage-connect': {
    ours: ['// Corrected: the guide has `[]`. The effect uses `sdk`.', '}, [sdk]);'],
    theirs: ['}, []);'],
  },
  // The Response is not the tokens.
  'api-key-on-the-backend': {
    ours: [
      '// Corrected: POST, and the JSON of the answer; the guide has the Response in `tokens`.',
      "const response = await fetch('https://YOUR-backend.com/api/chat/token', {",
      "method: 'POST',",
      'const tokens = await response.json();',
    ],
    theirs: ["const tokens = await fetch('https://YOUR-backend.com/api/chat/token', {"],
  },
};

/** What the formatter and a module do to a line. */
function line(text: string): string {
  return text
    .trim()
    .replace(/^export /, '')
    .replace(/'(\w+)':/, '$1:');
}

function lines(text: string): string[] {
  return text.split('\n').map(line).filter(Boolean);
}

function specification(): Map<string, string[]> {
  const parts = readFileSync(new URL('specification.txt', HERE), 'utf8').split(/^=== (.+)\n/m);
  return new Map(parts.flatMap((name, at) => (at % 2 ? [[name, lines(parts[at + 1] ?? '')] as const] : [])));
}

/** What stands between the marks in the files beside this one. */
function copies(): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const file of readdirSync(HERE)) {
    if (!/\.tsx?$/.test(file) || file.endsWith('.test.ts')) continue;
    const text = readFileSync(new URL(file, HERE), 'utf8');
    for (const [, name = '', copy = ''] of text.matchAll(/\[spec ([\w-]+)\]\n(.*?)\/\/ \[\/spec\]/gs)) {
      found.set(name, [...(found.get(name) ?? []), ...lines(copy)]);
    }
  }
  return found;
}

it('every snippet has a copy', () => {
  expect([...copies().keys()].sort()).toEqual([...specification().keys()].sort());
});

it.each([...specification()])('%s is the text of the specification', (name, original) => {
  const { ours, theirs = [] } = CORRECTIONS[name] ?? { ours: [] };
  const copy = copies().get(name) ?? [];
  expect(copy.filter((text) => ours.includes(text))).toEqual(ours);
  expect(copy.filter((text) => !ours.includes(text))).toEqual(
    original.filter((text) => !theirs.includes(text)),
  );
  expect(original.filter((text) => theirs.includes(text))).toEqual(theirs);
});
