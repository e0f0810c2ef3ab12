/** The adapter of SecureStore: sizes, kills, other installations, keys that are gone. */
import type { StoredTokens } from '@chatsdk/core';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { secureStoreAdapter } from '../src/storage/secure-store.ts';
import { FakeAsyncStorage, FakeSecureStore, Killed } from './support/secure-store.ts';

const KEY = 'chat.tokens';
const DECRYPT = new Error("Could not decrypt the value for key 'chat.tokens' under keychain 'key_v1'");

/** A record whose JSON is a little longer than `length`. */
function record(name: string, length: number): StoredTokens {
  return { v: 1, userID: 'ann', generation: 1, accessToken: name + 'x'.repeat(length) };
}

async function succeeds(work: () => unknown): Promise<boolean> {
  try {
    await work();
    return true;
  } catch {
    return false;
  }
}

let store: FakeSecureStore;
beforeEach(() => {
  store = new FakeSecureStore();
});

describe('what is set', () => {
  for (const length of [0, 1_700, 1_800, 2_048, 3_600, 9_999]) {
    it(`is read again, at ${length} bytes`, async () => {
      const value = record('one', length);
      await secureStoreAdapter(store, KEY).set(value);
      expect(await secureStoreAdapter(store, KEY).get()).toEqual(value);
    });
  }

  it('may hold any character', async () => {
    const value = { ...record('one', 3_000), userID: 'Zoë 東京 👩‍👩‍👧 \ud800'.repeat(100) };
    await secureStoreAdapter(store, KEY).set(value);
    expect(await secureStoreAdapter(store, KEY).get()).toEqual(value);
  });

  it('is readable after the first unlock, unless the app says otherwise', async () => {
    await secureStoreAdapter(store, KEY).set(record('one', 0));
    expect(new Set(store.seenOptions.map((one) => JSON.stringify(one)))).toEqual(
      new Set(['{"keychainAccessible":4}']),
    );
    store.seenOptions.length = 0;
    await secureStoreAdapter(store, KEY, { keychainAccessible: 5, keychainService: 'chat' }).get();
    expect(store.seenOptions).toEqual([{ keychainAccessible: 5, keychainService: 'chat' }]);
  });

  it('is gone after remove, all of it', async () => {
    const storage = secureStoreAdapter(store, KEY);
    await storage.set(record('one', 5_000));
    await storage.set(record('two', 9_000));
    await storage.remove();
    expect(store.items.size).toBe(0);
    expect(await storage.get()).toBeNull();
  });

  it('leaves nothing of what it replaced', async () => {
    const storage = secureStoreAdapter(store, KEY);
    await storage.set(record('one', 9_000));
    await storage.set(record('two', 3_000));
    expect([...store.items.keys()].sort()).toEqual(['chat.tokens', 'chat.tokens.b0', 'chat.tokens.b1']);
    await storage.set(record('three', 0));
    expect([...store.items.keys()]).toEqual(['chat.tokens']);
  });
});

describe('killed at any moment', () => {
  const sizes = [0, 2_500, 4_500, 9_000];
  for (const before of sizes) {
    for (const after of sizes) {
      it(`from ${before} to ${after} bytes, the old or the new is read, and then everything is tidy`, async () => {
        for (let kill = 0; ; kill += 1) {
          store = new FakeSecureStore();
          const [old, young, next] = [record('old', before), record('new', after), record('next', 3_000)];
          await secureStoreAdapter(store, KEY).set(record('first', 6_000));
          await secureStoreAdapter(store, KEY).set(old);
          store.changesLeft = kill;
          const done =
            (await succeeds(() => secureStoreAdapter(store, KEY).set(young))) && store.changesLeft > 0;
          // Killed once more, in the write that follows: what is left over must not add up.
          store.changesLeft = kill % 5;
          const found = (await secureStoreAdapter(store, KEY).get()) as StoredTokens;
          expect([old, young]).toContainEqual(found);
          await succeeds(() => secureStoreAdapter(store, KEY).set(next));
          expect([found, next]).toContainEqual(await secureStoreAdapter(store, KEY).get());
          store.changesLeft = Number.POSITIVE_INFINITY;
          await secureStoreAdapter(store, KEY).set(next);
          expect(await secureStoreAdapter(store, KEY).get()).toEqual(next);
          expect(store.items.size).toBe(3);
          if (done) {
            expect(found).toEqual(young);
            break;
          }
        }
      });
    }
  }

  it('in a remove, the old is read or nothing', async () => {
    for (let kill = 0; kill < 8; kill += 1) {
      store = new FakeSecureStore();
      const old = record('old', 9_000);
      await secureStoreAdapter(store, KEY).set(old);
      store.changesLeft = kill;
      await succeeds(() => secureStoreAdapter(store, KEY).remove());
      expect(await secureStoreAdapter(store, KEY).get()).toEqual(kill === 0 ? old : null);
      store.changesLeft = Number.POSITIVE_INFINITY;
      await secureStoreAdapter(store, KEY).remove();
      expect(store.items.size).toBe(0);
    }
  });
});

describe('two adapters of one key', () => {
  it('do not mix their writes', async () => {
    const [one, two] = [record('one', 5_000), record('two', 7_000)];
    const [left, right] = [secureStoreAdapter(store, KEY), secureStoreAdapter(store, KEY)];
    await Promise.all([left.set(one), right.set(two), left.set(one), right.set(two)]);
    expect(await left.get()).toEqual(two);
    expect(store.items.size).toBe(5);
  });

  it('go on after a failure of one', async () => {
    const storage = secureStoreAdapter(store, KEY);
    store.changesLeft = 1;
    await expect(storage.set(record('one', 5_000))).rejects.toThrow(Killed);
    store.changesLeft = Number.POSITIVE_INFINITY;
    await secureStoreAdapter(store, KEY).set(record('two', 5_000));
    expect(await storage.get()).toEqual(record('two', 5_000));
  });
});

describe('what others wrote', () => {
  it('is read, where it is what the app itself stored', async () => {
    const tokens = { accessToken: 'a', refreshToken: 'r', expiresAt: 1 };
    await store.setItemAsync(KEY, JSON.stringify(tokens), undefined);
    expect(await secureStoreAdapter(store, KEY).get()).toEqual(tokens);
  });

  it('is corrupt text where parts are missing or foreign', async () => {
    const storage = secureStoreAdapter(store, KEY);
    await storage.set(record('one', 5_000));
    const part = store.items.get('chat.tokens.a1') as string;
    store.items.delete('chat.tokens.a1');
    await expect(storage.get()).rejects.toThrow(SyntaxError);
    store.items.set('chat.tokens.a1', part.replace('x', 'y'));
    await expect(storage.get()).rejects.toThrow(SyntaxError);
    await storage.set(record('two', 5_000));
    expect(await storage.get()).toEqual(record('two', 5_000));
  });
});

describe('a store that cannot be read', () => {
  it('is unknown as long as the device is locked', async () => {
    const storage = secureStoreAdapter(store, KEY);
    await storage.set(record('one', 0));
    store.failing.set(KEY, new Error('User interaction is not allowed'));
    for (let n = 0; n < 5; n += 1) await expect(storage.get()).rejects.toThrow('interaction');
    store.failing.clear();
    expect(await storage.get()).toEqual(record('one', 0));
  });

  it('is given up after a minute of failures to decrypt, and written anew', async () => {
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000);
    onTestFinished(() => now.mockRestore());
    const storage = secureStoreAdapter(store, KEY);
    await storage.set(record('one', 0));
    store.failing.set(KEY, DECRYPT);
    for (let n = 0; n < 5; n += 1) await expect(storage.get()).rejects.toThrow('decrypt');
    now.mockReturnValue(60_999);
    await expect(storage.get()).rejects.toThrow('decrypt');
    now.mockReturnValue(61_000);
    expect(await storage.get()).toBeNull();
    await storage.set(record('two', 4_000));
    expect(await storage.get()).toEqual(record('two', 4_000));
  });
});

describe('a native call that never comes back', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('holds up those after it for ten seconds', async () => {
    const storage = secureStoreAdapter(store, KEY);
    await storage.set(record('one', 0));
    vi.spyOn(store, 'getItemAsync').mockImplementationOnce(() => new Promise(() => {}));
    void storage.get();
    let found: unknown;
    const next = Promise.resolve(storage.get()).then((value) => {
      found = value;
    });
    await vi.advanceTimersByTimeAsync(9_999);
    expect(found).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    await next;
    expect(found).toEqual(record('one', 0));
  });
});

describe('another installation', () => {
  it('finds nothing of the one before', async () => {
    const first = new FakeAsyncStorage();
    await secureStoreAdapter(store, KEY, { installation: first }).set(record('old', 5_000));
    expect(await secureStoreAdapter(store, KEY, { installation: first }).get()).not.toBeNull();
    const second = new FakeAsyncStorage();
    expect(await secureStoreAdapter(store, KEY, { installation: second }).get()).toBeNull();
    expect(store.items.size).toBe(0);
    const storage = secureStoreAdapter(store, KEY, { installation: second });
    await storage.set(record('new', 0));
    expect(await secureStoreAdapter(store, KEY, { installation: second }).get()).toEqual(record('new', 0));
  });

  it('is not assumed where AsyncStorage fails', async () => {
    const installation = new FakeAsyncStorage();
    await secureStoreAdapter(store, KEY, { installation }).set(record('one', 0));
    const broken = { ...installation, getItem: () => Promise.reject(new Error('disk I/O error')) };
    const storage = secureStoreAdapter(store, KEY, { installation: broken as never });
    await expect(storage.get()).rejects.toThrow('disk');
    expect(store.items.size).toBe(1);
  });
});

it('refuses a key that SecureStore would refuse', () => {
  for (const key of ['', 'chat:tokens', 'chat/tokens', 'schlüssel']) {
    expect(() => secureStoreAdapter(store, key)).toThrow(TypeError);
  }
});
