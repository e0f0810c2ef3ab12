/** The real platform of Node, and of a browser as far as its globals can be put in place. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  ChatSDK,
  fetchTokens,
  localStorageAdapter,
  sessionStorageAdapter,
  webPlatform,
} from '../src/index.ts';

afterEach(() => vi.unstubAllGlobals());

it('in Node keeps tokens in memory, opens no channel, and is always online', async () => {
  const platform = webPlatform();
  expect(platform.channel('x', () => {})).toBeNull();
  expect(platform.network.online()).toBe(true);
  expect(platform.lifecycle.visible()).toBe(true);
  expect(await platform.locks.hold('x', 1, async () => 7)).toBe(7);
  expect(platform.storage('x').get()).toBeNull();
  platform.network.subscribe(() => {})();
  platform.lifecycle.onResume(() => {})();
});

it('timers fire, and can be taken back', async () => {
  const { timers } = webPlatform();
  const fired: string[] = [];
  timers.after(1, () => fired.push('no'))();
  await new Promise<void>((resume) => {
    // Node does not stay for timers of the SDK; the test has one of its own.
    const stay = setTimeout(() => {}, 10_000);
    timers.after(2, () => {
      clearTimeout(stay);
      resume();
    });
  });
  expect(fired).toEqual([]);
});

it.each([
  ['localStorage', localStorageAdapter],
  ['sessionStorage', sessionStorageAdapter],
])('%s is read and written under one key, and watched', (name, make) => {
  const items = new Map<string, string>();
  const events = new EventTarget();
  vi.stubGlobal(name, {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => items.set(key, value),
    removeItem: (key: string) => items.delete(key),
  });
  vi.stubGlobal('addEventListener', events.addEventListener.bind(events));
  vi.stubGlobal('removeEventListener', events.removeEventListener.bind(events));
  const storage = make('chatTokens');
  expect(storage.get()).toBeNull();
  storage.set({ v: 1, userID: 'ann', generation: 0 });
  expect(storage.get()).toEqual({ v: 1, userID: 'ann', generation: 0 });
  let heard = 0;
  const undo = storage.subscribe?.(() => {
    heard += 1;
  });
  const change = (key: string | null): boolean =>
    events.dispatchEvent(Object.assign(new Event('storage'), { key }));
  change('other');
  change('chatTokens');
  change(null);
  undo?.();
  change('chatTokens');
  expect(heard).toBe(2);
  items.set('chatTokens', '{corrupt');
  expect(() => storage.get()).toThrow(SyntaxError);
  storage.remove();
  expect(storage.get()).toBeNull();
});

it('a storage that the browser blocks throws when it is used, and not before', () => {
  vi.stubGlobal('localStorage', undefined);
  const storage = localStorageAdapter('x');
  expect(() => storage.get()).toThrow('not available');
});

it('a lock that is not to be had in time is done without', async () => {
  vi.stubGlobal('document', { visibilityState: 'visible' });
  vi.stubGlobal('navigator', {
    onLine: true,
    locks: {
      request: (_name: string, { signal }: { signal: AbortSignal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    },
  });
  expect(await webPlatform().locks.hold('x', 1, async () => 'done')).toBe('done');
});

it('what fails under a lock is not done again', async () => {
  vi.stubGlobal('document', { visibilityState: 'visible' });
  vi.stubGlobal('navigator', {
    onLine: true,
    locks: { request: (_n: string, _o: unknown, fn: () => unknown) => fn() },
  });
  let runs = 0;
  const work = webPlatform().locks.hold('x', 1_000, async () => {
    runs += 1;
    throw new Error('mine');
  });
  await expect(work).rejects.toThrow('mine');
  expect(runs).toBe(1);
});

describe('at the edge', () => {
  /** A runtime that throws at options of `fetch` that it has no use for. */
  function strictFetch(): RequestInit[] {
    const seen: RequestInit[] = [];
    vi.stubGlobal('Request', class {});
    vi.stubGlobal('fetch', async (_url: string, init: RequestInit) => {
      if ('credentials' in init || 'cache' in init) throw new Error('The field is not implemented.');
      seen.push(init);
      return new Response('{}', { headers: { 'content-type': 'application/json' } });
    });
    return seen;
  }

  it('a fetch is spared what it does not know', async () => {
    const seen = strictFetch();
    await webPlatform().fetch('https://chat.example.com', {
      method: 'POST',
      headers: { a: 'b' },
      credentials: 'omit',
      cache: 'no-store',
    });
    await fetchTokens('https://app.example.com/tokens');
    expect(seen).toHaveLength(2);
    expect(seen[0]).toEqual({ method: 'POST', headers: { a: 'b' } });
  });

  it('a client is made though there is no navigator', () => {
    vi.stubGlobal('WorkerGlobalScope', class {});
    vi.stubGlobal('navigator', undefined);
    expect(Reflect.deleteProperty(globalThis, 'navigator')).toBe(true);
    new ChatSDK({ apiUrl: 'https://chat.example.com' });
    expect(webPlatform().network.online()).toBe(true);
  });
});
