/** The client of this package against the real server, over real sockets and real time. */
import type { StoredTokens } from '@chatsdk/core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import WebSocket from 'ws';
import { Binary } from '../../../core/test/support/binary.ts';
import { Happenings } from '../../../core/test/support/events.ts';
import { ChatSDK, type StorageError, secureStoreAdapter, type Tokens } from '../../src/index.ts';
import { FakeNetInfo } from '../support/net-info.ts';
import { AppState } from '../support/react-native.ts';
import { FakeSecureStore } from '../support/secure-store.ts';

let server: Binary;
let store: FakeSecureStore;
const open: ChatSDK[] = [];

beforeAll(async () => {
  server = await Binary.start('serve');
});
beforeEach(() => {
  store = new FakeSecureStore();
});
afterEach(async () => {
  for (const sdk of open.splice(0)) await sdk.disconnect();
});
afterAll(async () => await server?.dispose());

function client() {
  const told = new Happenings<Tokens>();
  const storageErrors = new Happenings<StorageError>();
  const netInfo = new FakeNetInfo();
  const storage = secureStoreAdapter(store, 'chat');
  const sdk = new ChatSDK({
    apiUrl: server.api,
    wsUrl: server.realtime,
    storage,
    netInfo,
    onTokenRefresh: told.add,
    platform: { webSocket: WebSocket },
  });
  sdk.on('storageError', storageErrors.add);
  open.push(sdk);
  return { sdk, told, storageErrors, netInfo, stored: async () => (await storage.get()) as StoredTokens };
}

/** A user whose tokens take more than one item. */
async function mint() {
  const custom = { note: 'é'.repeat(400) };
  const minted = await server.mint('ann', { name: 'Ann', custom, accessTokenExpiry: '3s' });
  const { accessToken: token, refreshToken, expiresAt } = minted;
  return { userID: 'ann', token, refreshToken, expiresAt };
}

it('keeps each pair in SecureStore, from which the next run of the app goes on', async () => {
  const first = client();
  await first.sdk.connect(await mint());
  await first.told.count(2);
  expect(store.items.size).toBeGreaterThan(1);
  await first.sdk.disconnect();

  const next = client();
  const { accessToken, ...saved } = await next.stored();
  expect(saved.refreshToken).toBe(first.told.items.at(-1)?.refreshToken);
  await next.sdk.connect({ ...saved, token: accessToken as string });
  expect(next.sdk.connectivity).toBe('connected');
  await next.told.count(1);
  await next.sdk.logout();
  expect(await next.stored()).not.toHaveProperty('accessToken');
  expect(store.items.size).toBe(1);
});

it('of a device that is locked at the start signs nobody out, and saves once it is open', async () => {
  const { sdk, told, storageErrors, stored } = client();
  store.failing.set('chat', new Error('User interaction is not allowed.'));
  await sdk.connect(await mint());
  expect(sdk.connectivity).toBe('connected');
  await storageErrors.count(1);
  store.failing.clear();
  AppState.become('active');
  const before = told.items.length;
  await told.count(before + 2);
  expect((await stored()).refreshToken).toBe(told.items.at(-1)?.refreshToken);
  expect(sdk.connectivity).toBe('connected');
});

it('listens to nobody when it is not connected', async () => {
  const { sdk, netInfo } = client();
  expect(AppState.listeners.size + netInfo.listeners.size).toBe(0);
  await sdk.connect(await mint());
  expect(AppState.listeners.size).toBeGreaterThan(0);
  expect(netInfo.listeners.size).toBe(1);
  await sdk.disconnect();
  expect(AppState.listeners.size + netInfo.listeners.size).toBe(0);
});
