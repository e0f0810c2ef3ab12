/** Our SDK against the real server, over real sockets and real time. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import WebSocket from 'ws';
import { ChatSDK, type ChatSDKEvents, type RefreshError, type Tokens } from '../../src/index.ts';
import { Binary, type Minted } from '../support/binary.ts';
import { Happenings } from '../support/events.ts';

let server: Binary;
const open: ChatSDK[] = [];

beforeAll(async () => {
  server = await Binary.start('serve');
});
afterEach(async () => {
  for (const sdk of open.splice(0)) await sdk.disconnect();
});
afterAll(async () => await server?.dispose());

function client() {
  const states = new Happenings<string>();
  const told = new Happenings<Tokens>();
  const errors = new Happenings<RefreshError>();
  const ends = new Happenings<ChatSDKEvents['sessionEnded']>();
  const sdk = new ChatSDK({
    apiUrl: server.api,
    wsUrl: server.realtime,
    onTokenRefresh: told.add,
    onRefreshError: errors.add,
    platform: { webSocket: WebSocket },
  });
  sdk.on('connectivity', ({ state }) => states.add(state));
  sdk.on('sessionEnded', ends.add);
  open.push(sdk);
  return { sdk, states, told, errors, ends };
}

const input = (userID: string, minted: Minted) => ({
  userID,
  token: minted.accessToken,
  refreshToken: minted.refreshToken,
  expiresAt: minted.expiresAt,
});

it('connects, and stays connected past the life of many tokens', async () => {
  const { sdk, states, told, errors } = client();
  const custom = { role: 'admin', permissions: ['read'] };
  const minted = await server.mint('ann', { name: 'Ann', custom, accessTokenExpiry: '3s' });
  await sdk.connect(input('ann', minted));
  expect(sdk.getCurrentUser()).toEqual({ id: 'ann', name: 'Ann', avatar: null, custom });
  await told.count(4);
  expect(Date.now()).toBeGreaterThan(minted.expiresAt);
  expect(sdk.connectivity).toBe('connected');
  expect(states.items).toEqual(['connecting', 'connected']);
  expect(errors.items).toEqual([]);
  expect(new Set(told.items.map((tokens) => tokens.refreshToken)).size).toBe(told.items.length);
});

it('connects with a pair whose access token ended long ago', async () => {
  const { sdk, told } = client();
  const minted = await server.mint('ann', { accessTokenExpiry: '1s' });
  while (Date.now() < minted.expiresAt + 10) await server.call('GET', '/healthz');
  await sdk.connect(input('ann', minted));
  expect(sdk.connectivity).toBe('connected');
  expect(told.items.length).toBeGreaterThanOrEqual(1);
});

it('ends once when its session is revoked, and does not try again', async () => {
  const { sdk, states, errors, ends } = client();
  const minted = await server.mint('ann', { accessTokenExpiry: '3s' });
  await sdk.connect(input('ann', minted));
  await server.call('DELETE', `/auth/users/ann/sessions/${minted.sessionId}`);
  const end = await ends.until(() => true);
  expect(end.reason).toBe('session_revoked');
  expect(errors.items).toHaveLength(1);
  expect(errors.items[0]).toMatchObject({
    kind: 'fatal',
    code: 'session_revoked',
    retryable: false,
    status: 401,
  });
  expect(errors.items[0]?.message).not.toContain('Network');
  expect(states.items.at(-1)).toBe('offline');
  expect(sdk.connectivity).toBeNull();
});

it('ends when its user is banned', async () => {
  const { sdk, errors, ends } = client();
  await sdk.connect(input('bob', await server.mint('bob', { accessTokenExpiry: '3s' })));
  await server.call('POST', '/auth/users/bob/ban', {});
  expect((await ends.until(() => true)).reason).toBe('user_banned');
  expect(errors.items[0]?.status).toBe(403);
});

it('comes back by itself when the server does', async () => {
  const { sdk, states, errors, ends } = client();
  await sdk.connect(input('ann', await server.mint('ann', { accessTokenExpiry: '3s' })));
  await server.stop();
  await states.until((state) => state === 'offline');
  await server.run();
  await states.until((_, all) => all.at(-1) === 'connected');
  expect(ends.items).toEqual([]);
  expect(errors.items).toEqual([]);
});

it('logs out: the session is revoked, and others of the user go on', async () => {
  const one = client();
  const other = client();
  const minted = await server.mint('ann', { accessTokenExpiry: '3s' });
  await one.sdk.connect(input('ann', minted));
  await other.sdk.connect(input('ann', await server.mint('ann', { accessTokenExpiry: '3s' })));
  await one.sdk.logout();
  expect(one.sdk.user).toBeNull();
  await expect(server.refresh(minted.refreshToken)).rejects.toThrow('session_revoked');
  const before = other.told.items.length;
  await other.told.count(before + 2);
  expect(other.sdk.connectivity).toBe('connected');
});

it('with a forged token and a live refresh token finds its way', async () => {
  const { sdk, ends } = client();
  const minted = await server.mint('ann', { accessTokenExpiry: '3s' });
  const token = `${minted.accessToken.slice(0, -6)}AAAAAA`;
  await sdk.connect({ ...input('ann', minted), token });
  expect(sdk.connectivity).toBe('connected');
  expect(ends.items).toEqual([]);
});

it('two instances with the same pair, as a double mount makes them, both stay', async () => {
  const [one, other] = [client(), client()];
  const minted = await server.mint('ann', { accessTokenExpiry: '3s' });
  await Promise.all([one.sdk.connect(input('ann', minted)), other.sdk.connect(input('ann', minted))]);
  await Promise.all([one.told.count(3), other.told.count(3)]);
  expect([one.sdk.connectivity, other.sdk.connectivity]).toEqual(['connected', 'connected']);
  expect([...one.ends.items, ...other.ends.items]).toEqual([]);
});
