/**
 * The programs of the guides for pages, in a real Chromium, against the real server and the backends of the guides.
 * Access tokens live for three seconds, so that everything is seen to be refreshed.
 */
import type { RequestListener } from 'node:http';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ChatSDK, StoredTokens, TokenStorage } from '@chatsdk/core';
import express from 'express';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { Binary } from '../../packages/core/test/support/binary.ts';
import { bundlePage, type Files } from '../snippets/frontend/support/bundle.ts';
import { Chromium } from '../snippets/frontend/support/chromium.ts';
import { Programs } from './support/documents.ts';
import { Served } from './support/express.ts';

const ANN = 'Bearer ann-session';

let chat: Binary;
let programs: Programs;
let files: Files;
let browser: Chromium;
let served: Served;
/** The paths of the backend that were posted to. */
let calls: string[] = [];

beforeAll(async () => {
  vi.stubEnv('CHATSDK_TOKENS_ACCESS_TTL', '3s');
  chat = await Binary.start('serve');
  vi.stubEnv('CHATSDK_API_URL', chat.api);
  vi.stubEnv('CHATSDK_API_KEY', chat.apiKey);
  vi.stubEnv('CHAT_ORIGINS', 'http://localhost:5500 ws://localhost:8001');
  programs = await Programs.write();
  files = await bundlePage(fileURLToPath(new URL('page', import.meta.url)), {
    '@guides': programs.directory,
  });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await programs?.remove();
  await chat?.dispose();
});

beforeEach(async () => {
  calls = [];
  browser = await Chromium.start(chat);
});
afterEach(async () => {
  await browser?.stop();
  await served?.stop();
});

type Handler = (req: unknown, res: unknown, next: () => void) => void;

/** Serves the page of `program` together with the backend of a guide, under the policy of a guide. */
async function open(program: string, backend: string): Promise<Page> {
  const { app } = await programs.run<{ app: RequestListener }>(backend);
  const { contentSecurityPolicy } = await programs.run<{ contentSecurityPolicy: Handler }>(
    'security-hardening/csp.js',
  );
  const host = express();
  host.use(contentSecurityPolicy as never);
  host.get('/favicon.ico', (_req, res) => void res.status(204).end());
  host.use((req, res, next) => {
    if (req.method === 'POST') calls.push(req.path);
    const path = req.path === '/' ? '/index.html' : req.path;
    const file = files.get(path);
    if (req.method !== 'GET' || file === undefined) return next();
    res.type(extname(path)).send(typeof file === 'string' ? file : Buffer.from(file));
  });
  host.use(app as never);
  served = await Served.start(host);
  return await at(program);
}

/** Another page of the same backend. */
async function at(program: string): Promise<Page> {
  const page = await browser.open(`${served.url}/?program=${program}`);
  await ready(page);
  return page;
}

const ready = (page: Page): Promise<unknown> => page.waitForFunction(() => 'program' in globalThis);

async function reload(page: Page): Promise<void> {
  await page.reload();
  await ready(page);
}

interface InPage {
  program: Record<string, never> & { sdk: ChatSDK };
  core: typeof import('@chatsdk/core');
}

/** Calls an export of the program. */
const call = <T>(page: Page, name: string, ...words: string[]): Promise<T> =>
  page.evaluate(
    ([name, words]) => {
      const { program } = globalThis as unknown as {
        program: Record<string, (...words: string[]) => unknown>;
      };
      return program[name as string]?.(...(words as string[]));
    },
    [name, words] as const,
  ) as Promise<T>;

/** Waits until the client of the program stands so; null is signed out. */
const stands = (page: Page, state: string | null): Promise<unknown> =>
  page.waitForFunction(
    (wanted) => (globalThis as unknown as InPage).program.sdk.connectivity === wanted,
    state,
  );

const expiry = (page: Page): Promise<number> =>
  page.evaluate(() => (globalThis as unknown as InPage).program.sdk.debugAuth().auth?.expiresAt ?? 0);

/** Waits until the token in use lives longer than it did. */
async function refreshed(page: Page): Promise<void> {
  const before = await expiry(page);
  await page.waitForFunction(
    (before) =>
      ((globalThis as unknown as InPage).program.sdk.debugAuth().auth?.expiresAt ?? 0) > (before as number),
    before,
  );
}

const quiet = (): void => expect(browser.complaints).toEqual([]);

it('authentication/connect.ts: signs in at the backend, and stays so', async () => {
  const page = await open('authentication/connect.ts', 'authentication/backend.js');
  expect(await call(page, 'signIn', 'user-123', ANN)).toMatchObject({
    name: 'Ann',
    custom: { role: 'admin' },
  });
  await stands(page, 'connected');
  await refreshed(page);
  await refreshed(page);
  quiet();
  await expect(call(page, 'signIn', 'user-123', 'Bearer nobody')).rejects.toThrow(
    'nobody is signed in there',
  );
});

it('authentication/connect.ts: who may no longer be signed in is sent to the login', async () => {
  const page = await open('authentication/connect.ts', 'authentication/backend.js');
  await call(page, 'signIn', 'user-123', ANN);
  await chat.call('POST', '/auth/users/user-123/revoke');
  await page.waitForURL('**/login');
});

it('react/App.tsx: signs in, outlives a reload, and signs out in every tab', async () => {
  const page = await open('react/App.tsx', 'authentication/backend.js');
  await page.getByText('Sign in').click();
  await page.getByText('Hello Ann').waitFor();
  await page.getByText('Connected', { exact: true }).waitFor();
  await refreshed(page);
  expect(calls).toEqual(['/api/chat/token']);

  await reload(page);
  await page.getByText('Connected', { exact: true }).waitFor();
  const other = await at('react/App.tsx');
  await other.getByText('Connected', { exact: true }).waitFor();
  expect(calls).toEqual(['/api/chat/token']);
  quiet();

  await other.getByText('Sign out').click();
  await page.getByText('Sign in').waitFor();
  await other.getByText('Sign in').waitFor();
  await reload(page);
  await page.getByText('Sign in').waitFor();
  quiet();
});

it('react/App.tsx: says why somebody has to sign in again', async () => {
  const page = await open('react/App.tsx', 'authentication/backend.js');
  await page.getByText('Sign in').click();
  await page.getByText('Connected', { exact: true }).waitFor();
  await chat.call('POST', '/auth/users/user-123/revoke');
  await page.getByText('Please sign in again (session_revoked).').waitFor();
});

it('react/sessions.ts: a request as the user', async () => {
  const page = await open('react/App.tsx', 'authentication/backend.js');
  await page.getByText('Sign in').click();
  await page.getByText('Connected', { exact: true }).waitFor();
  const { sessions } = await call<{ sessions: unknown[] }>(page, 'sessions');
  expect(sessions.length).toBeGreaterThan(0);
  quiet();
});

it('storage/resume.ts: goes on after a reload, also when the token expired long ago', async () => {
  const page = await open('storage/resume.ts', 'authentication/backend.js');
  expect(await call(page, 'resume')).toBe(false);
  const { accessToken, refreshToken, expiresAt } = await chat.mint('user-123', { name: 'Ann' });
  const connect = { userID: 'user-123', token: accessToken, refreshToken, expiresAt };
  await page.evaluate(
    (input) => (globalThis as unknown as InPage).program.sdk.connect(input).then(),
    connect,
  );
  await page.goto('about:blank');
  while (Date.now() < expiresAt + 500) await chat.call('GET', '/healthz');
  await page.goto(`${served.url}/?program=storage/resume.ts`);
  await ready(page);
  expect(await call(page, 'resume')).toBe(true);
  await stands(page, 'connected');
  expect(calls).toEqual([]);
  quiet();
});

it('storage/copy.ts: a copy of the host is as good', async () => {
  const page = await open('storage/copy.ts', 'authentication/backend.js');
  expect(await call(page, 'connect', 'user-123')).toBe(false);
  const { accessToken, refreshToken, expiresAt } = await chat.mint('user-123');
  await page.evaluate((tokens) => localStorage.setItem('chatTokens', JSON.stringify(tokens)), {
    accessToken,
    refreshToken,
    expiresAt,
  });
  expect(await call(page, 'connect', 'user-123')).toBe(true);
  await stands(page, 'connected');
  const copied = () => page.evaluate(() => JSON.parse(localStorage.getItem('chatTokens') ?? '{}').expiresAt);
  await vi.waitUntil(async () => (await copied()) > expiresAt, { timeout: 20_000 });
  await reload(page);
  expect(await call(page, 'connect', 'user-123')).toBe(true);
  await refreshed(page);
  quiet();
});

it('storage/indexed-db.ts: an adapter of the app keeps the pair', async () => {
  const page = await open('storage/indexed-db.ts', 'authentication/backend.js');
  const { accessToken, refreshToken, expiresAt } = await chat.mint('user-123');
  const input = { userID: 'user-123', token: accessToken, refreshToken, expiresAt };
  type Adapter = { indexedDBAdapter(name: string): TokenStorage };
  const kept = await page.evaluate(async (input) => {
    const { core, program } = globalThis as unknown as { core: InPage['core']; program: Adapter };
    const storage = program.indexedDBAdapter('chat');
    if ((await storage.get()) !== null) throw new Error('it is not empty');
    const sdk = new core.ChatSDK({
      apiUrl: 'http://localhost:5500',
      wsUrl: 'ws://localhost:8001/connection/websocket',
      storage,
    });
    const failures: string[] = [];
    sdk.on('storageError', (error) => failures.push(error.message));
    const refreshed = new Promise<void>((resume) => {
      const look = async (): Promise<void> => {
        const now = (await storage.get()) as StoredTokens | null;
        if (now !== null && now.accessToken !== input.token) resume();
        else requestAnimationFrame(() => void look());
      };
      void look();
    });
    await sdk.connect(input);
    await refreshed;
    await sdk.disconnect();
    const kept = (await storage.get()) as StoredTokens;
    await storage.remove();
    return { kept, after: await storage.get(), failures };
  }, input);
  expect(kept.kept).toMatchObject({ userID: 'user-123', accessToken: expect.stringMatching(/^eyJ/) });
  expect(kept.after).toBeNull();
  expect(kept.failures).toEqual([]);
  quiet();
});

it('storage/cookie-page.ts: no script ever has the refresh token', async () => {
  const page = await open('storage/cookie-page.ts', 'storage/cookie-backend.js');
  await call(page, 'signIn', 'user-123', ANN);
  await refreshed(page);
  await reload(page);
  await call(page, 'resume', 'user-123');
  await stands(page, 'connected');
  await refreshed(page);
  const [cookie] = await browser.context.cookies();
  expect(cookie).toMatchObject({
    name: 'chatRefreshToken',
    path: '/api/session',
    httpOnly: true,
    secure: true,
  });
  const readable = await page.evaluate(
    () => JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie,
  );
  expect(readable).not.toContain('eyJ');
  quiet();
  const refreshToken = cookie?.value as string;
  await call(page, 'signOut');
  await stands(page, null);
  expect(await browser.context.cookies()).toEqual([]);
  await expect(chat.refresh(refreshToken)).rejects.toThrow('session_revoked');
});

it('security-hardening/csp.js: nothing goes anywhere else', async () => {
  const page = await open('storage/resume.ts', 'authentication/backend.js');
  quiet();
  await expect(page.evaluate(() => fetch('http://localhost:9/steal'))).rejects.toThrow();
  expect(browser.complaints.join()).toContain('Content Security Policy');
});
