/** A real Chromium with a fresh profile, which finds the chat server where the pages expect it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Binary } from '../../../../packages/core/test/support/binary.ts';

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export class Chromium {
  readonly #profile: string;
  readonly context: BrowserContext;
  /** What pages complained of. */
  readonly complaints: string[] = [];

  private constructor(profile: string, context: BrowserContext) {
    this.#profile = profile;
    this.context = context;
  }

  /** Starts it. Port 5500 of `localhost` is the API of `chat` and port 8001 its realtime side. */
  static async start(chat: Binary): Promise<Chromium> {
    const profile = await mkdtemp(join(tmpdir(), 'chatsdk-chromium-'));
    const hosts = [
      `MAP localhost:5500 ${new URL(chat.api).host}`,
      `MAP localhost:8001 ${new URL(chat.realtime).host}`,
    ];
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
      args: [...ARGS, `--host-resolver-rules=${hosts.join(', ')}`],
      headless: true,
    });
    return new Chromium(profile, context);
  }

  async open(url: string): Promise<Page> {
    const page = await this.context.newPage();
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') this.complaints.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  async stop(): Promise<void> {
    await this.context.close();
    await rm(this.#profile, { recursive: true, force: true });
  }
}

/** Waits until the element with this id says `text`. */
export async function says(page: Page, id: string, text: string): Promise<void> {
  await page.waitForFunction(
    ([where, wanted]) => document.getElementById(where as string)?.textContent === wanted,
    [id, text],
  );
}

/** Waits until the number in the element with this id is at least `count`. */
export async function reaches(page: Page, id: string, count: number): Promise<void> {
  await page.waitForFunction(
    ([where, wanted]) => Number(document.getElementById(where as string)?.textContent) >= (wanted as number),
    [id, count] as const,
  );
}
