/** What the constructor takes and refuses, and that nothing shows the key. */
import { inspect } from 'node:util';
import { expect, it, vi } from 'vitest';
import { createChatSDKServer, InvalidInputError } from '../src/index.ts';
import { backoff } from '../src/request.ts';

const KEY = 'csk_live_abcdefgh_0123456789abcdefghijklmnopqrst_abcdef';
const GOOD = { apiUrl: 'https://chat.example.com/base/', apiKey: KEY };

function refused(options: Parameters<typeof createChatSDKServer>[0]): InvalidInputError {
  try {
    createChatSDKServer(options);
  } catch (error) {
    if (error instanceof InvalidInputError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}

it.each([
  ['apiUrl', { apiUrl: 'chat.example.com' }],
  ['apiUrl', { apiUrl: 'ftp://chat.example.com' }],
  ['apiUrl', { apiUrl: 'https://user:password@chat.example.com' }],
  ['apiUrl', { apiUrl: 'https://chat.example.com?x=1' }],
  ['apiKey', { apiKey: '' }],
  ['apiKey', { apiKey: `${KEY}\n` }],
  ['apiKey', { apiKey: `${KEY} ` }],
  ['apiKey', { apiKey: `${KEY}ä` }],
  ['timeoutMs', { timeoutMs: 0 }],
  ['timeoutMs', { timeoutMs: Number.NaN }],
  ['attemptTimeoutMs', { attemptTimeoutMs: Number.POSITIVE_INFINITY }],
  ['maxRetries', { maxRetries: -1 }],
  ['clockToleranceSeconds', { clockToleranceSeconds: -1 }],
  ['timeoutMs', { timeoutMs: 1e12 }],
  ['attemptTimeoutMs', { attemptTimeoutMs: 2 ** 32 }],
  ['maxRetries', { maxRetries: 1e9 }],
  ['appId', { appId: '' }],
])('refuses a wrong %s: %o', (field, wrong) => {
  const error = refused({ ...GOOD, ...wrong });
  expect(error.field).toBe(field);
  expect(inspect(error)).not.toContain('csk_');
});

it('does without a key what needs none, and nothing else', async () => {
  const { CHATSDK_API_KEY } = process.env;
  process.env.CHATSDK_API_KEY = KEY;
  try {
    const asked: (string | null)[] = [];
    const fetch = async (_address: unknown, init?: RequestInit): Promise<Response> => {
      asked.push(new Headers(init?.headers).get('X-API-Key'));
      return Response.json({});
    };
    const verifier = createChatSDKServer({ ...GOOD, apiKey: null, runtime: { fetch } });
    await verifier.revokeToken('eyJ.a.b');
    expect(asked).toEqual([null]);
    const mint = verifier.generateToken({ userId: 'ann' });
    await expect(mint).rejects.toMatchObject({ code: 'invalid_input', field: 'apiKey' });
    expect(asked).toHaveLength(1);
  } finally {
    if (CHATSDK_API_KEY === undefined) delete process.env.CHATSDK_API_KEY;
    else process.env.CHATSDK_API_KEY = CHATSDK_API_KEY;
  }
});

it('takes address and key from the environment, and says which is missing', () => {
  const { CHATSDK_API_URL, CHATSDK_API_KEY } = process.env;
  try {
    delete process.env.CHATSDK_API_URL;
    delete process.env.CHATSDK_API_KEY;
    expect(refused({}).message).toContain('CHATSDK_API_URL');
    process.env.CHATSDK_API_URL = GOOD.apiUrl;
    expect(refused({}).message).toContain('CHATSDK_API_KEY');
    process.env.CHATSDK_API_KEY = KEY;
    expect(createChatSDKServer()).toBeDefined();
  } finally {
    for (const [name, value] of Object.entries({ CHATSDK_API_URL, CHATSDK_API_KEY })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});

it('shows its key to nobody', () => {
  const server = createChatSDKServer(GOOD);
  const options = { depth: 10, showHidden: true, getters: true };
  for (const shown of [inspect(server, options), JSON.stringify(server), String(server)]) {
    expect(shown).not.toContain('csk_');
  }
  expect(JSON.stringify(server)).toBe('{"apiUrl":"https://chat.example.com/base"}');
});

it('pauses by full jitter with a bound', () => {
  expect([0, 1, 2, 3, 30].map((retry) => backoff(retry, 0.5))).toEqual([100, 200, 400, 800, 2_000]);
  expect(backoff(5, 0)).toBe(0);
});

it('belongs on no page, but beside a document that a backend made', () => {
  const versions = Object.getOwnPropertyDescriptor(process, 'versions') as PropertyDescriptor;
  vi.stubGlobal('document', {});
  try {
    expect(createChatSDKServer(GOOD)).toBeDefined();
    Object.defineProperty(process, 'versions', { ...versions, value: {} });
    expect(refused(GOOD).message).toContain('not in a page');
  } finally {
    Object.defineProperty(process, 'versions', versions);
    vi.unstubAllGlobals();
  }
});
