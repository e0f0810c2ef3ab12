/** The Go and Ruby of the documents are parts of the examples, which python/tests/test_examples.py runs. */
import { expect, it } from 'vitest';
import { at, blocks, read } from './support/documents.ts';

const PROGRAMS: Readonly<Record<string, string>> = {
  go: 'examples/plain-http/go/main.go',
  ruby: 'examples/plain-http/ruby/server.rb',
};

it.each(Object.keys(PROGRAMS))('%s: what is shown is what is run', (language) => {
  const shown = blocks.filter((block) => block.language === language);
  expect(shown).not.toEqual([]);
  const run = read(PROGRAMS[language] as string);
  expect(shown.filter((block) => !run.includes(`\n${block.text}`)).map(at)).toEqual([]);
});
