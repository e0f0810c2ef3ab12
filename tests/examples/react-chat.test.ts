/** `examples/react-chat` in a real Chromium, against the real server. */
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Binary } from '../../packages/core/test/support/binary.ts';
import { Backend } from '../snippets/frontend/support/backend.ts';
import { bundlePage, type Files } from '../snippets/frontend/support/bundle.ts';
import { Chromium, reaches } from '../snippets/frontend/support/chromium.ts';

let chat: Binary;
let files: Files;
let backend: Backend;
let browser: Chromium;

beforeAll(async () => {
  chat = await Binary.start('serve');
  files = await bundlePage(fileURLToPath(new URL('../../examples/react-chat', import.meta.url)));
});
afterAll(async () => await chat?.dispose());

beforeEach(async () => {
  backend = await Backend.start({ chat, userId: 'ann', authToken: 'ann', files });
  browser = await Chromium.start(chat);
});
afterEach(async () => {
  await browser?.stop();
  await backend?.stop();
});

async function signIn(): Promise<Page> {
  const page = await browser.open(backend.url);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Connected', { exact: true }).waitFor();
  return page;
}

it('signs in, and stays connected over many tokens', async () => {
  const page = await signIn();
  expect(await page.getByRole('heading').textContent()).toBe('Hello Ann');
  await reaches(page, 'refreshes', 3);
  expect(await page.getByRole('status').textContent()).toBe('Connected');
  expect(backend.calls).toEqual(['/api/chat/token']);
  expect(browser.complaints).toEqual([]);
});

it('goes on after a reload, without the backend', async () => {
  const page = await signIn();
  await reaches(page, 'refreshes', 1);
  await page.reload();
  await page.getByText('Connected', { exact: true }).waitFor();
  expect(await page.getByRole('heading').textContent()).toBe('Hello Ann');
  await reaches(page, 'refreshes', 2);
  expect(backend.calls).toEqual(['/api/chat/token']);
});

it('comes back when the server does', async () => {
  const page = await signIn();
  await chat.stop();
  await page.getByText('Offline, reconnecting…').waitFor();
  await chat.run();
  await page.getByText('Connected', { exact: true }).waitFor();
});

it('signs out in every tab, and the session is over', async () => {
  const page = await signIn();
  const other = await browser.open(backend.url);
  await other.getByText('Connected', { exact: true }).waitFor();
  const { refreshToken } = await page.evaluate(() => JSON.parse(localStorage.getItem('chat:ann') ?? '{}'));
  await page.getByRole('button', { name: 'Sign out' }).click();
  for (const tab of [page, other]) await tab.getByRole('heading', { name: 'Sign in' }).waitFor();
  expect(await page.evaluate(() => localStorage.getItem('chat:ann'))).toBeNull();
  await expect(chat.refresh(refreshToken)).rejects.toThrow('session_revoked');
});

it('says why when the session was ended elsewhere', async () => {
  const page = await signIn();
  await chat.call('DELETE', `/auth/users/ann/sessions/${backend.sessions[0]}`);
  await page.getByText('The session is over (session_revoked): sign in again.').waitFor();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Connected', { exact: true }).waitFor();
});

it('says that the backend did not let somebody in', async () => {
  const page = await browser.open(backend.url);
  await page.getByLabel('Name').fill('eve');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Your backend answered 401.').waitFor();
});
