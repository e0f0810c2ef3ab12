/** The list of codes is the server's own. */
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { ERROR_CODES, SESSION_ENDED_CODES } from '../src/index.ts';

it('has every code of the API description, and no other', async () => {
  const file = new URL('../../../docs/reference/openapi.json', import.meta.url);
  const description = JSON.parse(await readFile(file, 'utf8'));
  expect(ERROR_CODES).toEqual(description.components.schemas.Problem.properties.code.enum);
});

it('knows which of them end the session', async () => {
  const page = await readFile(new URL('../../../docs/reference/errors.md', import.meta.url), 'utf8');
  const ending = [...page.matchAll(/^\| `(\w+)` \| \d+ \| yes \|/gm)].map((row) => row[1]);
  expect([...SESSION_ENDED_CODES].sort()).toEqual(ending.sort());
});
