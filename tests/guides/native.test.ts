/**
 * The programs of the guides that need no page, in Node: the packages and the server are the real ones, native
 * modules are doubles.
 */
import type { ChatSDK, TokenStorage, User } from '@chatsdk/core';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { Binary } from '../../packages/core/test/support/binary.ts';
import { AUTH_TOKEN, Backend } from '../snippets/frontend/support/backend.ts';
import { Programs } from './support/documents.ts';

let chat: Binary;
let backend: Backend;
let programs: Programs;

beforeAll(async () => {
  chat = await Binary.start('serve');
  backend = await Backend.start({ chat, userId: 'user-123' });
  programs = await Programs.write();
  const { fetch } = globalThis;
  // The addresses of the guides lead to this machine.
  const leadHome = (url: string): string =>
    url
      .replace(/^(?=\/)/, backend.url)
      .replace('https://app.example.com', backend.url)
      .replace(/^(https:\/\/chat\.example\.com|http:\/\/localhost:5500)/, chat.api)
      .replace(/^(wss:\/\/chat\.example\.com|ws:\/\/localhost:8001)/, new URL(chat.realtime).origin);
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
  await programs?.remove();
  await backend?.stop();
  await chat?.dispose();
});

interface Chat {
  readonly sdk: ChatSDK;
  resume(): Promise<User | null>;
  signIn(userID: string, authorization: string): Promise<User>;
  signOut(): Promise<void>;
}

it('React Native: signs in, goes on after a restart, signs out', async () => {
  const app = await programs.run<Chat>('react-native/chat.ts');
  expect(await app.resume()).toBeNull();
  expect((await app.signIn('user-123', `Bearer ${AUTH_TOKEN}`)).name).toBe('Ann');
  expect(app.sdk.connectivity).toBe('connected');

  await app.sdk.disconnect();
  const calls = backend.calls.length;
  expect((await app.resume())?.id).toBe('user-123');
  expect(app.sdk.connectivity).toBe('connected');
  expect(backend.calls).toHaveLength(calls);

  await app.signOut();
  expect(await app.resume()).toBeNull();
  await vi.waitUntil(async () => {
    const { sessions } = (await chat.call('GET', '/auth/users/user-123/sessions')) as { sessions: unknown[] };
    return sessions.length === 0;
  });
});

it('React Native: the storages keep what they are given', async () => {
  const { secure, plain } = await programs.run<{ secure: TokenStorage; plain: TokenStorage }>(
    'storage/native.ts',
  );
  for (const storage of [secure, plain]) {
    const value = { v: 1 as const, userID: 'user-123', generation: 0, accessToken: 'eyJ'.repeat(900) };
    await storage.set(value);
    expect(await storage.get()).toEqual(value);
    await storage.remove();
    expect(await storage.get()).toBeNull();
  }
});

/**
 * `sdk`, connected as `userID`. Short tokens, because a client asks for no pair within a hundredth of the life of
 * the last one, and learns of the end of its session by asking.
 */
async function connected(userID: string, sdk: ChatSDK, more: Record<string, unknown> = {}): Promise<ChatSDK> {
  const lives = { accessTokenExpiry: '6s', ...more };
  const { accessToken, refreshToken, expiresAt } = await chat.mint(userID, lives);
  await sdk.connect({ userID, token: accessToken, refreshToken, expiresAt });
  expect(sdk.connectivity).toBe('connected');
  return sdk;
}

it('troubleshooting: a logger is told what happens, and no token', async () => {
  const { verbose } = await programs.run<{ verbose(logger: unknown): ChatSDK }>('troubleshooting/logger.ts');
  const said: string[] = [];
  const note = (...words: unknown[]): void => void said.push(JSON.stringify(words));
  const sdk = await connected('log', verbose({ debug: note, info: note, warn: note, error: note }));
  await sdk.disconnect();
  expect(said).not.toEqual([]);
  expect(said.join()).not.toContain('eyJ');
});

it('authentication: claims are there for the interface, and a newer mint is taken up', async () => {
  const { mayDelete } = await programs.run<{ mayDelete(sdk: ChatSDK): boolean }>('authentication/claims.ts');
  const { verbose } = await programs.run<{ verbose(logger: unknown): ChatSDK }>('troubleshooting/logger.ts');
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const sdk = await connected('mia', verbose(silent), { custom: { permissions: ['read'] } });
  expect(mayDelete(sdk)).toBe(false);
  const { accessToken, refreshToken, expiresAt } = await chat.mint('mia', {
    accessTokenExpiry: '6s',
    custom: { permissions: ['read', 'delete'] },
  });
  await sdk.connect({ userID: 'mia', token: accessToken, refreshToken, expiresAt });
  await vi.waitUntil(() => mayDelete(sdk));
  await sdk.logout();
});

it('errors: an end leads to the login, and requests tell what they came to', async () => {
  const { client } = await programs.run<{
    client(app: { toLogin(reason: string): void; offlineBanner(show: boolean): void }): ChatSDK;
  }>('errors/errors.ts');
  const { endSession } = await programs.run<{ endSession(sdk: ChatSDK, id: string): Promise<string> }>(
    'errors/requests.ts',
  );
  const app = { toLogin: vi.fn(), offlineBanner: vi.fn() };
  const sdk = await connected('zoe', client(app));
  const other = await chat.mint('zoe');
  expect(await endSession(sdk, other.sessionId)).toBe('ended');
  await expect(chat.refresh(other.refreshToken)).rejects.toThrow('session_revoked');
  expect(await endSession(sdk, 'ses_01h455vb4pex5vsknk084sn02q')).toBe('unknown');
  expect(app.offlineBanner).toHaveBeenLastCalledWith(false);
  expect(app.toLogin).not.toHaveBeenCalled();

  await chat.stop();
  expect(await endSession(sdk, other.sessionId)).toBe('later');
  await vi.waitUntil(() => app.offlineBanner.mock.lastCall?.[0] === true);
  await chat.run();
  await vi.waitUntil(() => app.offlineBanner.mock.lastCall?.[0] === false, { timeout: 30_000 });
  await chat.call('POST', '/auth/users/zoe/revoke');
  await vi.waitUntil(() => app.toLogin.mock.calls.length > 0, { timeout: 30_000 });
  expect(app.toLogin.mock.calls).toEqual([['session_revoked']]);
});

it('logout: others, everywhere, and being told', async () => {
  const logout = await programs.run<{
    signOut(sdk: ChatSDK): Promise<void>;
    signOutOthers(sdk: ChatSDK): Promise<void>;
    signOutEverywhere(sdk: ChatSDK): Promise<void>;
  }>('logout/logout.ts');
  const { watch } = await programs.run<{ watch(sdk: ChatSDK, show: (text: string) => void): () => void }>(
    'logout/told.ts',
  );
  const { verbose } = await programs.run<{ verbose(logger: unknown): ChatSDK }>('troubleshooting/logger.ts');
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  // In Node each client has a session of its own, as each device has.
  const [here, there] = [verbose(silent), verbose(silent)];
  const shown: string[] = [];
  watch(there, (text) => shown.push(text));
  await connected('max', here);
  await connected('max', there);
  await logout.signOutOthers(here);
  await vi.waitUntil(() => shown.length > 0, { timeout: 30_000 });
  expect(shown).toEqual(['Please sign in again: The session is over (session_revoked): sign in again.']);
  expect(here.connectivity).toBe('connected');

  await connected('max', there);
  await chat.call('POST', '/auth/users/max/ban');
  await vi.waitUntil(() => shown.length > 1, { timeout: 30_000 });
  expect(shown[1]).toBe('Your account is blocked.');
  await chat.call('DELETE', '/auth/users/max/ban');

  await connected('max', there);
  await connected('max', here);
  await logout.signOutEverywhere(here);
  expect(here.user).toBeNull();
  await vi.waitUntil(() => shown.length > 2, { timeout: 30_000 });

  await connected('max', here);
  const assign = vi.fn();
  vi.stubGlobal('location', { assign });
  await logout.signOut(here);
  expect(assign).toHaveBeenCalledWith('/login');
  expect(backend.calls).toContain('/api/auth/logout');
  expect(here.user).toBeNull();
  const { sessions } = (await chat.call('GET', '/auth/users/max/sessions')) as { sessions: unknown[] };
  expect(sessions).toEqual([]);
});
