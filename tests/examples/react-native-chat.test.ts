/**
 * `examples/react-native-chat` against the real server. React Native itself needs a device: the app is drawn by
 * `react-native-web` in a real Chromium, as Expo draws apps for the web, and the native modules are doubles.
 */
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Binary } from '../../packages/core/test/support/binary.ts';
import { Backend } from '../snippets/frontend/support/backend.ts';
import { bundlePage, type Files } from '../snippets/frontend/support/bundle.ts';
import { Chromium } from '../snippets/frontend/support/chromium.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

let chat: Binary;
let files: Files;
let backend: Backend;
let browser: Chromium;

beforeAll(async () => {
  chat = await Binary.start('serve');
  files = await bundlePage(
    here('react-native-page'),
    {
      'react-native': 'react-native-web',
      '@react-native-async-storage/async-storage': here('../snippets/frontend/support/async-storage.ts'),
      '@react-native-community/netinfo': here('../snippets/frontend/support/net-info.ts'),
      'expo-secure-store': here('../snippets/frontend/support/expo-secure-store.ts'),
    },
    // As Expo does for what an app may read of its environment.
    { 'process.env': JSON.stringify({ NODE_ENV: 'production', EXPO_PUBLIC_BACKEND_URL: '' }) },
  );
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
  await page.getByText('Sign in').click();
  await page.getByText('Connected', { exact: true }).waitFor();
  return page;
}

const refreshed = (page: Page, count: number): Promise<unknown> =>
  page.waitForFunction(
    (wanted) => Number(document.querySelector('[data-testid="refreshes"]')?.textContent) >= wanted,
    count,
  );

it('signs in, and stays connected over many tokens', async () => {
  const page = await signIn();
  await page.getByText('Hello Ann').waitFor();
  await refreshed(page, 3);
  expect(await page.getByTestId('status').textContent()).toBe('Connected');
  expect(browser.complaints).toEqual([]);
});

it('goes on after a restart of the app, from SecureStore alone', async () => {
  const page = await signIn();
  await refreshed(page, 1);
  await page.reload();
  await page.getByText('Connected', { exact: true }).waitFor();
  await refreshed(page, 2);
  expect(backend.calls).toEqual(['/api/chat/token']);
});

it('comes back when the server does', async () => {
  const page = await signIn();
  await chat.stop();
  await page.getByText('Offline, reconnecting…').waitFor();
  await chat.run();
  await page.getByText('Connected', { exact: true }).waitFor();
});

it('signs out, and keeps no tokens', async () => {
  const page = await signIn();
  const stored = () => page.evaluate(() => sessionStorage.getItem('secure-store') ?? '');
  expect(await stored()).toContain('eyJ');
  const revoked = page.waitForResponse((reply) => reply.url().endsWith('/auth/revoke'));
  await page.getByText('Sign out').click();
  await page.getByText('Sign in').waitFor();
  expect((await revoked).ok()).toBe(true);
  await page.waitForFunction(() => !(sessionStorage.getItem('secure-store') ?? '').includes('eyJ'));
  await page.reload();
  await page.getByText('Sign in').waitFor();
});
