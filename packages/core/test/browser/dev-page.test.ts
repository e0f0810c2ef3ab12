/** The page of `chatsdk dev` in a real browser. */
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Binary } from '../support/binary.ts';
import { type Browser, launch } from '../support/chromium.ts';

let server: Binary;
let browser: Browser;
let complaints: string[];

beforeAll(async () => {
  server = await Binary.start('dev');
});
afterAll(async () => await server?.dispose());

beforeEach(async () => {
  browser = await launch();
});
afterEach(async () => await browser?.close());

async function open(query: string): Promise<Page> {
  const page = await browser.context.newPage();
  complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(`${server.page}${query}`);
  return page;
}

const status = (page: Page, text: string): Promise<unknown> =>
  page.waitForFunction((wanted) => document.getElementById('status')?.textContent?.startsWith(wanted), text);

const refreshes = (page: Page, count: number): Promise<unknown> =>
  page.waitForFunction(
    (wanted) => Number(document.getElementById('refreshes')?.textContent) >= wanted,
    count,
  );

const text = (page: Page, id: string): Promise<string | null> => page.locator(`#${id}`).textContent();

it('connects, and is still connected past the life of its token', async () => {
  const page = await open('?ttl=3s');
  await status(page, 'Connected');
  expect(await text(page, 'user')).toBe('Ann (ann)');
  // From here on the page itself notes every word that the status says.
  await page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(globalThis, { seen });
    const target = document.getElementById('status');
    if (target === null) throw new Error('no status');
    new MutationObserver(() => seen.push(target.textContent ?? '')).observe(target, {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
  await refreshes(page, 3);
  expect(await text(page, 'status')).toBe('Connected');
  expect(await page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen)).toEqual([]);
  expect(await text(page, 'expires')).toMatch(/^\d s$/);
  expect(complaints).toEqual([]);
});

it('shows the life of an ordinary token, for whom it was asked', async () => {
  const page = await open('?user=bob');
  await status(page, 'Connected');
  expect(await text(page, 'user')).toBe('Bob (bob)');
  expect(await text(page, 'expires')).toMatch(/^(59 min \d+ s|1 h 0 min)$/);
  expect(await text(page, 'refreshes')).toBe('0');
});

it('comes back when the server does', async () => {
  const page = await open('?ttl=3s');
  await status(page, 'Connected');
  await server.stop();
  await status(page, 'Offline, reconnecting…');
  await server.run();
  await status(page, 'Connected');
});

it('signs out, and in again', async () => {
  const page = await open('?ttl=3s');
  await status(page, 'Connected');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await status(page, 'Signed out: ');
  await page.getByRole('button', { name: 'Sign in again' }).click();
  await status(page, 'Connected');
  await refreshes(page, 1);
});

it('in several tabs is one session that outlives its tokens, and one sign-out', async () => {
  const pages: Page[] = [];
  for (let n = 0; n < 4; n += 1) pages.push(await open('?ttl=3s'));
  for (const page of pages) await refreshes(page, 4);
  for (const page of pages) await status(page, 'Connected');
  await pages[0]?.getByRole('button', { name: 'Sign out' }).click();
  for (const page of pages) await status(page, 'Signed out: ');
});

it('has landmarks, names for its controls, and a dark scheme', async () => {
  const page = await open('');
  await status(page, 'Connected');
  for (const role of ['banner', 'main', 'contentinfo', 'navigation'] as const) {
    expect(await page.getByRole(role).count(), role).toBe(1);
  }
  expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1);
  expect(await page.getByRole('status').textContent()).toBe('Connected');
  const ground = (): Promise<string> =>
    page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  expect(await ground()).not.toBe(light);
});
