/**
 * The specification's snippets for React Native, in Node: the package and the server are the real ones, the
 * native modules are doubles, and the addresses of the snippets lead to servers on this machine.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { Binary } from '../../../packages/core/test/support/binary.ts';
import * as asyncStorage from './async-storage.ts';
import { byDefault, customBuffer } from './configuration.ts';
import { happened } from './host.ts';
import { development, production } from './https-in-production.ts';
import { getTokens } from './never-expose-api-keys.ts';
import { initChat } from './react-native.ts';
import { connect } from './react-native-readme.ts';
import * as secureStore from './secure-store.ts';
import AsyncStorage from './support/async-storage.ts';
import { AUTH_TOKEN, Backend } from './support/backend.ts';

let chat: Binary;
let backend: Backend;

beforeAll(async () => {
  chat = await Binary.start('serve');
  backend = await Backend.start({ chat, userId: 'user-123' });
  const { fetch } = globalThis;
  const leadHome = (url: string): string =>
    url
      .replace(/^https:\/\/your(api|-backend)\.com/i, backend.url)
      .replace(/^https:\/\/(your-chatsdk-api|chat\.example)\.com/, chat.api)
      .replace(/^wss:\/\/(your-chatsdk-api|chat\.example)\.com/, new URL(chat.realtime).origin);
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => fetch(leadHome(url), init));
  vi.stubGlobal(
    'WebSocket',
    class extends WebSocket {
      constructor(url: string) {
        super(leadHome(url));
      }
    },
  );
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await backend?.stop();
  await chat?.dispose();
});

it('React Native: connects, and saves what is refreshed', async () => {
  await AsyncStorage.setItem('authToken', AUTH_TOKEN);
  const sdk = await initChat();
  expect(sdk.connectivity).toBe('connected');
  expect(sdk.getCurrentUser().id).toBe('user-123');
  const first = await vi.waitUntil(() => asyncStorage.loadTokens(), { timeout: 20_000 });
  const second = await vi.waitUntil(
    async () => {
      const now = await asyncStorage.loadTokens();
      return now?.refreshToken === first.refreshToken ? null : now;
    },
    { timeout: 20_000 },
  );
  expect(second?.expiresAt).toBeGreaterThan(first.expiresAt);
  await sdk.logout();
  await expect(chat.refresh(second?.refreshToken ?? '')).rejects.toThrow('session_revoked');
});

it('the code of the README is the code that is run here', async () => {
  const lines = async (path: string): Promise<string[]> => {
    const text = await readFile(new URL(path, import.meta.url), 'utf8');
    return text.split('\n').map((line) => line.trim());
  };
  const readme = await lines('../../../packages/react-native/README.md');
  const code = readme.slice(readme.indexOf('```ts') + 1, readme.indexOf('```'));
  expect(code.length).toBeGreaterThan(8);
  const run = await lines('react-native-readme.ts');
  expect(code.filter((line) => !run.includes(line))).toEqual([]);

  const minted = await chat.mint('user-123', { accessTokenExpiry: '3s' });
  const sdk = await connect('user-123', minted.accessToken, minted.refreshToken, minted.expiresAt);
  expect(sdk.connectivity).toBe('connected');
  await sdk.logout();
});

it('AsyncStorage and SecureStore: what is saved is loaded, and a real pair fits into one item', async () => {
  const custom = { email: 'ann@example.com', role: 'member' };
  const { accessToken, refreshToken, expiresAt } = await chat.mint('user-123', { name: 'Ann', custom });
  const tokens = { accessToken, refreshToken, expiresAt };
  for (const { saveTokens, loadTokens } of [asyncStorage, secureStore]) {
    await saveTokens(tokens);
    expect(await loadTokens()).toEqual(tokens);
  }
});

it('tokens come from the backend, and carry no API key', async () => {
  expect(await getTokens()).toMatchObject({ accessToken: expect.stringMatching(/^eyJ/) });
});

it('the options of the guide are accepted, and start nothing', () => {
  for (const sdk of [byDefault(), customBuffer()]) {
    expect(sdk.toJSON()).toMatchObject({ apiUrl: 'https://api.yourdomain.com', userID: null });
  }
  expect(happened).toEqual([]);
});

it('neither the addresses of development nor those of production are warned of', () => {
  const logger = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  development(logger);
  production(logger);
  expect(logger.warn).not.toHaveBeenCalled();
});
