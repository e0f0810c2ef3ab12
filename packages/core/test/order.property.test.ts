/**
 * Clients of one page that connect, leave and log out in any order: nobody is somebody else, the last call wins, a
 * logout ends nothing that was begun after it, and nothing is left over.
 *
 * `ORDER_RUNS` (default 150) says how many orders are tried, `ORDER_SEED` which.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { TokenStorage } from '../src/index.ts';
import { type Client, ClientScene } from './support/client-scene.ts';
import { sharedStorage } from './support/fake-platform.ts';
import { MINUTE } from './support/scene.ts';

const runs = Number(process.env.ORDER_RUNS ?? 150);
const parameters = {
  numRuns: runs,
  ...(process.env.ORDER_SEED === undefined ? {} : { seed: Number(process.env.ORDER_SEED) }),
};

const client = fc.nat({ max: 2 });
const userID = fc.constantFrom('ann', 'bob');
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('connect' as const), client, userID }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('disconnect' as const, 'logout' as const), client }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('logoutOf' as const), client, userID }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.nat({ max: 600 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constant(56 * MINUTE) }) },
);
const circumstances = fc.record({
  clients: fc.integer({ min: 1, max: 3 }),
  locks: fc.boolean(),
  /** How long each use of the storage takes, one after the other and over again, in ms. */
  delays: fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 8 }),
  steps: fc.array(step, { minLength: 2, maxLength: 9 }),
});
type Circumstances = typeof circumstances extends fc.Arbitrary<infer T> ? T : never;

/** A storage whose every use takes a while. */
function slowed(storage: TokenStorage, wait: () => Promise<void>): TokenStorage {
  const later = async <T>(work: () => T): Promise<Awaited<T>> => {
    await wait();
    return await work();
  };
  return {
    get: () => later(() => storage.get()),
    set: (value) => later(() => storage.set(value)),
    remove: () => later(() => storage.remove()),
  };
}

class Page {
  readonly scene = new ClientScene();
  readonly #clients: Client[] = [];
  /** What each client is to be in the end: its session, or nobody, or whatever, where an app cannot know. */
  readonly #wanted: ({ readonly userID: string; readonly sid: string } | null | 'either')[] = [];
  /** The outcome of every call. */
  readonly #calls: Promise<void>[] = [];

  constructor({ clients, locks, delays }: Circumstances) {
    const { scene } = this;
    const { tab } = scene;
    tab.shared = new Map();
    tab.locks = locks;
    let uses = 0;
    const wait = (): Promise<void> => {
      const ms = delays[uses % delays.length] ?? 0;
      uses += 1;
      return ms === 0
        ? Promise.resolve()
        : new Promise((resolve) => void tab.platform.timers.after(ms, resolve));
    };
    const kept = new Map<string, TokenStorage>();
    const storage = (key: string): TokenStorage => {
      const found = kept.get(key) ?? slowed(sharedStorage(), wait);
      kept.set(key, found);
      return found;
    };
    const platform = { ...tab.platform, webSocket: scene.realtime.webSocket, storage };
    for (let nth = 0; nth < clients; nth += 1) {
      this.#clients.push(scene.client({ platform }));
      this.#wanted.push(null);
    }
  }

  async take(done: Circumstances['steps'][number]): Promise<void> {
    if (done.do === 'pass') return await this.scene.device.advance(done.ms);
    const nth = done.client % this.#clients.length;
    const { sdk } = this.#clients[nth] as Client;
    const now = this.#wanted[nth];
    if (done.do === 'connect') {
      const input = this.scene.input(done.userID);
      this.#call(sdk.connect(input).then((user) => expect(user.id).toBe(done.userID)));
      this.#wanted[nth] = { userID: done.userID, sid: input.sid };
    } else if (done.do === 'disconnect') {
      this.#call(sdk.disconnect());
      this.#wanted[nth] = null;
    } else {
      // Where nobody is connected it is for whoever was last, whom only the storage may know.
      const named = done.do === 'logoutOf' ? done.userID : now !== 'either' ? now?.userID : undefined;
      this.#call(sdk.logout(done.do === 'logoutOf' ? { userID: done.userID } : {}));
      for (const [other, wanted] of this.#wanted.entries()) {
        if (wanted === null || wanted === 'either') continue;
        if (named === undefined) this.#wanted[other] = 'either';
        else if (wanted.userID === named) this.#wanted[other] = null;
      }
      if (done.do === 'logout') this.#wanted[nth] = null;
    }
  }

  async judge(): Promise<void> {
    const { scene } = this;
    await scene.device.advance(2 * MINUTE);
    await Promise.all(this.#calls);
    for (const [nth, wanted] of this.#wanted.entries()) {
      const { sdk } = this.#clients[nth] as Client;
      expect(sdk.toJSON().userID, `client ${nth}`).toBe(sdk.user?.id ?? null);
      if (wanted === 'either') continue;
      expect(sdk.user?.id ?? null, `client ${nth}`).toBe(wanted?.userID ?? null);
      expect(sdk.connectivity, `client ${nth}`).toBe(wanted === null ? null : 'connected');
      const revoked = wanted !== null && scene.server.sessions.get(wanted.sid)?.revoked;
      expect(revoked, `client ${nth}`).toBe(false);
    }
    await Promise.all(this.#clients.map(({ sdk }) => sdk.disconnect()));
    await scene.device.advance(5 * MINUTE);
    const { device, realtime, tab } = scene;
    expect(device.timers.size, 'timers').toBe(0);
    expect(device.networkListeners.size, 'listeners').toBe(0);
    expect(realtime.sockets.size, 'sockets').toBe(0);
    expect(tab.shared?.size, 'shared').toBe(0);
  }

  /** Everything settles, and only a disconnect rejects. */
  #call(outcome: Promise<void>): void {
    const settled = outcome.catch((error: Error) => {
      if (error.name !== 'DisconnectedError') throw error;
    });
    settled.catch(() => {});
    this.#calls.push(settled);
  }
}

it(
  'the last call wins',
  async () => {
    await fc.assert(
      fc.asyncProperty(circumstances, async (given) => {
        const page = new Page(given);
        for (const one of given.steps) await page.take(one);
        await page.judge();
      }),
      parameters,
    );
  },
  20_000 + runs * 500,
);
