/** The specification's snippets for the web, in a real Chromium, against the real server. */
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Binary } from '../../../packages/core/test/support/binary.ts';
import { Backend } from './support/backend.ts';
import { bundlePage, type Files } from './support/bundle.ts';
import { Chromium, reaches } from './support/chromium.ts';

let chat: Binary;
let files: Files;
let backend: Backend;
let browser: Chromium;

beforeAll(async () => {
  chat = await Binary.start('serve');
  files = await bundlePage(fileURLToPath(new URL('page', import.meta.url)));
});
afterAll(async () => await chat?.dispose());

beforeEach(async () => {
  backend = await Backend.start({ chat, userId: 'user-123', custom: { role: 'admin' }, files });
  browser = await Chromium.start(chat);
});
afterEach(async () => {
  await browser?.stop();
  await backend?.stop();
});

const open = (snippet: string): Promise<Page> => browser.open(`${backend.url}/?snippet=${snippet}`);

const shows = (page: Page, text: string): Promise<unknown> =>
  page.waitForFunction((wanted) => document.getElementById('root')?.textContent === wanted, text);

const happens = (page: Page, what: string): Promise<unknown> =>
  page.waitForFunction(
    (wanted) => (globalThis as unknown as { happened: string[] }).happened.includes(wanted),
    what,
  );

const happenings = (page: Page): Promise<string[]> =>
  page.evaluate(() => (globalThis as unknown as { happened: string[] }).happened);

/** The same, where the clock of the page is installed: moves it on until it happens. */
async function happensInTime(page: Page, what: string): Promise<void> {
  while (!(await happenings(page)).includes(what)) await page.clock.runFor(1_000);
}

/** The pairs that the page has in `chatTokens`, until there are `count` different ones. */
async function stored(page: Page, count: number): Promise<string[]> {
  const seen = new Set<string>();
  while (seen.size < count) {
    const text = await page.waitForFunction(
      (known) => {
        const now = localStorage.getItem('chatTokens');
        return now !== null && !known.includes(now) && now;
      },
      [...seen],
    );
    seen.add((await text.jsonValue()) as string);
  }
  return [...seen];
}

it('React: connects, and saves what is refreshed', async () => {
  const page = await open('react');
  await shows(page, 'Connected!');
  const saved = await stored(page, 3);
  for (const text of saved) {
    expect(Object.keys(JSON.parse(text)).sort()).toEqual(['accessToken', 'expiresAt', 'refreshToken']);
  }
  expect(backend.calls).toEqual(['/api/chat/token']);
  await shows(page, 'Connected!');
  expect(browser.complaints).toEqual([]);
});

it('React, in StrictMode: mounts twice and is connected', async () => {
  const page = await open('strict');
  await shows(page, 'Connected!');
  await stored(page, 2);
  expect(browser.complaints).toEqual([]);
});

it('localStorage: connects again from what was stored, also long after it expired', async () => {
  const page = await open('stored');
  await shows(page, 'Ann');
  await stored(page, 2);
  // Every tab is gone while the token expires.
  const before = await page.evaluate(() => JSON.parse(localStorage.getItem('chatTokens') ?? '{}').expiresAt);
  await page.goto('about:blank');
  while (Date.now() < before + 500) await chat.call('GET', '/healthz');
  await page.goto(`${backend.url}/?snippet=stored`);
  await shows(page, 'Ann');
  await stored(page, 2);
  expect(backend.calls).toEqual(['/api/chat/token']);
  expect(browser.complaints).toEqual([]);
});

it('httpOnly cookie: refreshes through the backend, and the page never has the refresh token', async () => {
  const page = await open('cookie');
  await reaches(page, 'refreshes', 3);
  expect(backend.calls.filter((path) => path === '/api/chat/refresh').length).toBeGreaterThanOrEqual(3);
  const cookies = await browser.context.cookies();
  expect(cookies).toMatchObject([
    { name: 'chatRefreshToken', httpOnly: true, secure: true, sameSite: 'Strict' },
  ]);
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }) + document.cookie);
  expect(kept).not.toContain(cookies[0]?.value as string);
  expect(kept).not.toContain('eyJ');
  expect(browser.complaints).toEqual([]);
});

it('custom claims: the admin sees the panel', async () => {
  await shows(await open('claims'), 'Admin panel');
});

for (const snippet of ['logout', 'short-logout']) {
  it(`${snippet}: disconnects, clears, and the session is over at the server`, async () => {
    const page = await browser.open(`${backend.url}/?snippet=none`);
    const { token } = await watch(page);
    await page.goto(`${backend.url}/?snippet=${snippet}`);
    await happens(page, 'tokens null');
    await happens(page, 'router /login');
    await happens(page, 'user null');
    await expect(chat.refresh(await token)).rejects.toThrow('session_revoked');
  });
}

it('error handling: who may no longer be signed in is sent to the login', async () => {
  const page = await open('expired');
  await happens(page, 'connected');
  await chat.call('DELETE', `/auth/users/user-123/sessions/${backend.sessions[0]}`);
  await page.waitForURL('**/login');
  expect(await page.evaluate(() => localStorage.getItem('chatTokens'))).toBeNull();
});

it('error handling: an outage shows a banner and keeps the session, an end asks for a login', async () => {
  const page = await open('none');
  // The banner comes when an outage has lasted for half a minute, which need not be one of ours.
  await page.clock.install();
  await page.goto(`${backend.url}/?snippet=network`);
  await happens(page, 'connected');
  await chat.stop();
  await happensInTime(page, 'offline banner');
  expect(await happenings(page)).not.toContain('login');
  await chat.run();
  await chat.call('DELETE', `/auth/users/user-123/sessions/${backend.sessions[0]}`);
  await happensInTime(page, 'login');
});

/** The refresh token that the page is given. */
async function watch(page: Page): Promise<{ token: Promise<string> }> {
  const response = page.waitForResponse('**/api/chat/token');
  return { token: response.then(async (reply) => (await reply.json()).refreshToken) };
}
