/** The replies that the documents show have the shape of real ones. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import WebSocket from 'ws';
import { ChatSDK } from '../../packages/core/src/index.ts';
import { Binary } from '../../packages/core/test/support/binary.ts';
import { at, blocks, Programs } from './support/documents.ts';

let chat: Binary;
let programs: Programs;
beforeAll(async () => {
  chat = await Binary.start('serve');
  programs = await Programs.write();
});
afterAll(async () => {
  await programs?.remove();
  await chat?.dispose();
});

/** What each name stands for, asked anew. */
const LIVE: Readonly<Record<string, () => Promise<unknown>>> = {
  mint: () => chat.mint('user-123', { name: 'Ann', custom: { role: 'admin' } }),
  problem: async () => {
    const response = await fetch(`${chat.api}/auth/refresh`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ refreshToken: 'eyJ' }),
    });
    return await response.json();
  },
  debugAuth: async () => {
    const sdk = new ChatSDK({
      apiUrl: chat.api,
      wsUrl: chat.realtime,
      platform: { webSocket: WebSocket as unknown as typeof globalThis.WebSocket },
    });
    const { accessToken, refreshToken, expiresAt } = await chat.mint('user-123');
    await sdk.connect({ userID: 'user-123', token: accessToken, refreshToken, expiresAt });
    const { report } = await programs.run<{ report(sdk: ChatSDK): string }>('troubleshooting/report.ts');
    const text = report(sdk);
    await sdk.disconnect();
    expect(text).not.toContain('eyJ');
    return JSON.parse(text);
  },
};

/** The members and the types of their values, in place of the values. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shape(member)]));
}

const shown = blocks.filter(({ language }) => language === 'json');

it('there are some', () => expect(shown).not.toEqual([]));

it.each(shown.map((block) => [at(block), block] as const))('%s', async (_, { name, text }) => {
  const live = LIVE[name];
  if (live === undefined) throw new Error(`there is no reply called "${name}"`);
  const document: unknown = JSON.parse(text);
  const real = await live();
  expect(shape(document)).toEqual(shape(real));
  // What never changes is shown as it is.
  if (name === 'problem') {
    const { requestId: _shown, ...said } = document as Record<string, unknown>;
    expect(real).toMatchObject(said);
  }
});
