/** The double of the server decides as the server does: `decisions.json` is written by its own decision table. */
import { expect, it } from 'vitest';
import { decisions } from './support/scenarios/format.ts';
import { decide, type Known, type Presented, type Row } from './support/server-double.ts';

interface Line {
  row: Row | null;
  presented: Presented;
  known: Known;
  answer: Row | string;
}

it('decides each row of decisions.json as the server does', () => {
  const lines = decisions() as unknown as Line[];
  expect(lines.length).toBeGreaterThan(200);
  for (const { row, presented, known, answer } of lines) {
    expect(decide(row ?? undefined, presented, known), JSON.stringify({ row, presented, known })).toEqual(
      answer,
    );
  }
});
