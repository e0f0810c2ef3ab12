/** Tabs of a real browser on one origin, against the real server, with tokens of a few seconds. C34, C36, C38. */
import type { CDPSession, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Binary } from '../support/binary.ts';
import { type Browser, launch } from '../support/chromium.ts';
import { Happenings } from '../support/events.ts';
import { HostApp } from '../support/host.ts';

interface Seen {
  states: string[];
  ends: string[];
  errors: string[];
  told: number;
  connected: boolean;
  /** The longest time in which no timer of the page ran, in ms. */
  gap: number;
}

let server: Binary;
let app: HostApp;
let browser: Browser;
/** What was presented by the refreshes that left the browser. */
let refreshes: Happenings<string>;
let users = 0;

beforeAll(async () => {
  server = await Binary.start('serve');
  app = await HostApp.start(server);
});
afterAll(async () => {
  await app?.stop();
  await server?.dispose();
});
beforeEach(async () => {
  browser = await launch();
  refreshes = new Happenings();
  browser.context.on('request', (request) => {
    if (request.method() !== 'POST' || !request.url().endsWith('/auth/refresh')) return;
    refreshes.add(request.postDataJSON().refreshToken);
  });
});
afterEach(async () => await browser?.close());

/** A user of this test alone. */
const someone = (): string => `user-${++users}`;

async function open(user: string, ttl = '3s'): Promise<Page> {
  const page = await browser.context.newPage();
  await page.goto(app.page(user, ttl));
  await page.waitForFunction(() => (globalThis as unknown as { seen?: Seen }).seen?.connected === true);
  return page;
}

const seen = (page: Page): Promise<Seen> =>
  page.evaluate(() => (globalThis as unknown as { seen: Seen }).seen);

const told = (page: Page, count: number): Promise<unknown> =>
  page.waitForFunction((wanted) => (globalThis as unknown as { seen: Seen }).seen.told >= wanted, count, {
    timeout: 90_000,
  });

const state = (page: Page, wanted: string): Promise<unknown> =>
  page.waitForFunction(
    (name) => (globalThis as unknown as { seen: Seen }).seen.states.at(-1) === name,
    wanted,
    { timeout: 90_000 },
  );

const devtools = (page: Page): Promise<CDPSession> => browser.context.newCDPSession(page);

describe.each([
  ['with locks', true],
  ['without locks', false],
])('ten tabs %s', (_name, locks) => {
  beforeEach(async () => {
    if (locks) return;
    await browser.context.addInitScript(() => {
      Reflect.deleteProperty(Object.getPrototypeOf(navigator), 'locks');
    });
  });

  async function openTen(user: string): Promise<Page[]> {
    const pages: Page[] = [];
    for (let n = 0; n < 10; n += 1) pages.push(await open(user));
    return pages;
  }

  it('take turns to refresh, one frozen and one killed in between; a logout ends them all', async () => {
    const user = someone();
    const pages = await openTen(user);
    const [first, frozen] = pages as [Page, Page];
    expect(await first.evaluate(() => 'locks' in navigator)).toBe(locks);
    const before = { asked: refreshes.items.length, told: (await seen(first)).told };

    // The life cycle of the page cannot be set to frozen: headless pages are always visible, and visible ones never
    // freeze. Halted, it does as little, and keeps the locks that it has.
    const freezer = await devtools(frozen);
    await freezer.send('Debugger.enable');
    await freezer.send('Debugger.pause');
    await told(first, before.told + 2);

    // The next request that is not the first tab's reaches the server, its reply reaches nobody, and its tab dies.
    const others = pages.filter((page) => page !== first && page !== frozen);
    const killed = await new Promise<Page>((chosen) => {
      let taken = false;
      for (const page of others) {
        void page.route('**/auth/refresh', async (route) => {
          if (taken || route.request().method() !== 'POST') return await route.continue();
          taken = true;
          await route.fetch();
          chosen(page);
        });
      }
    });
    await killed.close();

    const rest = [first, ...others.filter((page) => page !== killed)];
    const here = (await seen(first)).told;
    for (const page of rest) await told(page, here + 2);
    await freezer.send('Debugger.resume');
    await freezer.send('Debugger.disable');
    const thawed = await seen(frozen);
    expect(thawed.gap).toBeGreaterThan(4_000);
    await told(frozen, thawed.told + 2);

    // A cycle is what one refresh token is good for. Whoever had not heard of its successor yet presented it again, which is
    // a matter of how busy the machine is; that everybody does is not: then nobody hears of anything.
    const asked = refreshes.items.slice(before.asked);
    const cycles = new Set(asked).size;
    expect(cycles).toBeGreaterThanOrEqual((await seen(first)).told - before.told - 1);
    expect(asked.length).toBeLessThanOrEqual((cycles * pages.length) / 2);
    for (const page of [...rest, frozen]) {
      expect(await seen(page)).toMatchObject({ ends: [], errors: [] });
    }

    await first.evaluate(() => (globalThis as unknown as { sdk: { logout(): Promise<void> } }).sdk.logout());
    for (const page of [...rest.slice(1), frozen]) {
      await page.waitForFunction(
        () => (globalThis as unknown as { seen: Seen }).seen.ends.join() === 'logged_out',
      );
    }
    const stored = await first.evaluate(() => JSON.stringify({ ...localStorage }));
    expect(stored).not.toContain('eyJ');
  });
});

describe('a page', () => {
  it.each([2 * 3_600_000, -5 * 3_600_000, 90_000])(
    'whose clock is moved by %d ms while it is open stays connected',
    async (shift) => {
      await browser.context.addInitScript(() => {
        const now = Date.now.bind(Date);
        Object.assign(globalThis, { shift: 0 });
        Date.now = () => now() + (globalThis as unknown as { shift: number }).shift;
      });
      const page = await open(someone());
      await told(page, 1);
      await page.evaluate((by) => Object.assign(globalThis, { shift: by }), shift);
      await told(page, 4);
      expect(await seen(page)).toMatchObject({ ends: [], errors: [], states: ['connecting', 'connected'] });
    },
  );

  it('whose clock was wrong from the start stays connected', async () => {
    await browser.context.addInitScript(() => {
      const now = Date.now.bind(Date);
      Date.now = () => now() - 3 * 3_600_000;
    });
    const page = await open(someone());
    await told(page, 3);
    expect(await seen(page)).toMatchObject({ ends: [], errors: [] });
  });

  it('comes back by itself when a server that was killed is there again', async () => {
    const page = await open(someone());
    await told(page, 1);
    await server.kill();
    await state(page, 'offline');
    await server.run();
    await state(page, 'connected');
    const { told: so } = await seen(page);
    await told(page, so + 2);
    expect((await seen(page)).ends).toEqual([]);
  });

  it('comes back by itself when its network does', async () => {
    const page = await open(someone());
    await told(page, 1);
    const cdp = await devtools(page);
    await cdp.send('Network.enable');
    const cut = (offline: boolean): Promise<unknown> =>
      cdp.send('Network.emulateNetworkConditions', {
        offline,
        latency: 0,
        downloadThroughput: -1,
        uploadThroughput: -1,
      });
    await cut(true);
    await state(page, 'offline');
    // Past the life of its token.
    await page.waitForFunction(() => {
      const { sdk } = globalThis as unknown as {
        sdk: { debugAuth(): { auth: { expiresInMs: number } | null } };
      };
      return (sdk.debugAuth().auth?.expiresInMs ?? 0) < -1_000;
    });
    await cut(false);
    await state(page, 'connected');
    const { told: so } = await seen(page);
    await told(page, so + 2);
    expect((await seen(page)).ends).toEqual([]);
  });

  it('that is loaded again goes on with what is stored', async () => {
    const user = someone();
    const page = await open(user);
    await told(page, 3);
    await page.reload();
    await page.waitForFunction(() => (globalThis as unknown as { seen?: Seen }).seen?.connected === true);
    await told(page, 2);
    expect((await seen(page)).ends).toEqual([]);
  });

  it('with two copies of the package and three clients has one socket', async () => {
    const page = await browser.context.newPage();
    const sockets = new Happenings<string>();
    page.on('websocket', (socket) => sockets.add(socket.url()));
    await page.goto(app.page(someone(), '3s'));
    await page.waitForFunction(() => (globalThis as unknown as { seen?: Seen }).seen?.connected === true);
    await page.evaluate(async () => {
      const { mount } = globalThis as unknown as { mount(copy: number): Promise<unknown> };
      await Promise.all([mount(1), mount(2)]);
    });
    // Each of the three is told of each pair.
    await told(page, 9);
    expect(sockets.items).toHaveLength(1);
    expect(refreshes.items.length).toBeLessThanOrEqual(4);
  });
});
