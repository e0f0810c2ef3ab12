/** `examples/quickstart-html` as its README starts it, in a real Chromium, against the real server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { Binary } from '../../packages/core/test/support/binary.ts';
import { Chromium, reaches, says } from '../snippets/frontend/support/chromium.ts';

const SERVE = fileURLToPath(new URL('../../examples/quickstart-html/serve.mjs', import.meta.url));

let chat: Binary;
let backend: ChildProcess;
let url: string;
let browser: Chromium;

/** Starts the backend with this API key; answers it and its address. */
async function serve(apiKey: string): Promise<[ChildProcess, string]> {
  const env = {
    ...process.env,
    NODE_ENV: 'production',
    CHATSDK_API_KEY: apiKey,
    CHATSDK_API_URL: chat.api,
    TOKEN_LIFE: '3s',
    PORT: '0',
  };
  const child = spawn(process.execPath, [SERVE], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const address = await new Promise<string>((ready, fail) => {
    child.on('error', fail);
    child.on('exit', (code) => fail(new Error(`the backend ended with ${code}`)));
    createInterface(child.stdout).once('line', ready);
  });
  return [child, address];
}

async function stop(child: ChildProcess): Promise<void> {
  const gone = new Promise((resume) => child.once('exit', resume));
  child.kill();
  await gone;
}

beforeAll(async () => {
  chat = await Binary.start('serve');
  [backend, url] = await serve(chat.apiKey);
});
afterAll(async () => {
  if (backend?.exitCode === null) await stop(backend);
  await chat?.dispose();
});

beforeEach(async () => {
  browser = await Chromium.start(chat);
});
afterEach(async () => await browser?.stop());

async function signIn(): Promise<Page> {
  const page = await browser.open(url);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await says(page, 'status', 'connected');
  return page;
}

it('signs in, and stays connected over many tokens', async () => {
  const page = await signIn();
  await says(page, 'user', 'ann');
  await reaches(page, 'refreshes', 3);
  await says(page, 'status', 'connected');
  expect(browser.complaints).toEqual([]);
});

it('comes back when the chat server does', async () => {
  const page = await signIn();
  await chat.stop();
  await says(page, 'status', 'offline');
  await chat.run();
  await says(page, 'status', 'connected');
});

it('signs out, and in again', async () => {
  const page = await signIn();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await says(page, 'status', 'connected');
  await reaches(page, 'refreshes', 1);
});

it('tells a page that is served elsewhere nothing', async () => {
  const reply = await fetch(`${url}/api/chat/token`, { method: 'POST' });
  expect(reply.status).toBe(401);
  expect((await fetch(`${url}/serve.mjs`)).status).toBe(404);
});

it('signs nobody out for what is wrong with its own key', async () => {
  const [other, address] = await serve(`${chat.apiKey.slice(0, -1)}!`);
  try {
    const headers = { Authorization: 'Bearer ann' };
    const reply = await fetch(`${address}/api/chat/token`, { method: 'POST', headers });
    expect(reply.status).toBe(503);
    expect(await reply.json()).toEqual({ error: 'Chat is not available' });
  } finally {
    await stop(other);
  }
});
