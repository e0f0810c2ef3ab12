/** Storages that fail, hang and hold nonsense: C25, C27; and the order of saving, telling and using. */
import { describe, expect, it } from 'vitest';
import { StorageError, type StoredTokens, type TokenStorage } from '../src/index.ts';
import { memoryStorage } from './support/fake-platform.ts';
import { HOUR, MINUTE, Scene } from './support/scene.ts';

const broken = (why: () => never): TokenStorage => ({ get: why, set: why, remove: why });

describe('a storage', () => {
  const failing: [string, () => TokenStorage][] = [
    [
      'that throws',
      () =>
        broken(() => {
          throw new DOMException('denied', 'SecurityError');
        }),
    ],
    [
      'that rejects',
      () => ({
        get: () => Promise.reject(new Error('locked')),
        set: () => Promise.reject(new Error('locked')),
        remove: () => {},
      }),
    ],
    [
      'that is full',
      () => ({
        ...memoryStorage(),
        set: () => {
          throw new DOMException('full', 'QuotaExceededError');
        },
      }),
    ],
    [
      'that hangs',
      () => ({ get: () => new Promise(() => {}), set: () => new Promise<void>(() => {}), remove: () => {} }),
    ],
  ];

  it.each(failing)('%s does not end the session, and is told of', async (_name, make) => {
    const scene = new Scene();
    const actor = scene.actor({ storage: make() });
    const started = actor.manager.start(scene.server.mint());
    await scene.device.advance(11_000);
    await started;
    await scene.device.advance(3 * HOUR);
    expect(actor.ends).toEqual([]);
    expect(actor.errors).toEqual([]);
    expect(actor.manager.state).toBe('valid');
    expect(actor.told.length).toBeGreaterThanOrEqual(3);
    expect(actor.storageErrors.length).toBeGreaterThan(0);
    expect(actor.storageErrors[0]).toBeInstanceOf(StorageError);
  });

  it.each([
    [
      'text that is not JSON',
      () => {
        throw new SyntaxError('bad');
      },
    ],
    ['a number', () => 7],
    ['an array', () => [1]],
    ['wrong types', () => ({ v: 1, userID: 1, accessToken: {}, generation: 'x' })],
    ['half a pair', () => ({ v: 1, userID: 'ann', accessToken: 'eyJ' })],
  ] as [string, () => unknown][])('with %s in it counts as empty, and is repaired', async (_name, get) => {
    const scene = new Scene();
    const kept = memoryStorage();
    let repaired = false;
    const storage: TokenStorage = {
      get: () => (repaired ? kept.get() : get()),
      set: (value) => {
        repaired = true;
        return kept.set(value);
      },
      remove: () => {},
    };
    const actor = scene.actor({ storage });
    await scene.start(actor);
    expect((kept.get() as StoredTokens).accessToken).toBe(actor.manager.tokens?.accessToken);
    expect(actor.storageErrors).toEqual([]);
  });

  it('that recovers gets the pair that it missed', async () => {
    const scene = new Scene();
    const kept = memoryStorage();
    let full = false;
    const storage: TokenStorage = {
      ...kept,
      set: (value) => {
        if (full) throw new Error('full');
        return kept.set(value);
      },
    };
    const actor = scene.actor({ storage });
    await scene.start(actor);
    full = true;
    await scene.device.advance(55.5 * MINUTE);
    full = false;
    await scene.device.advance(30_000);
    expect((kept.get() as StoredTokens).accessToken).toBe(actor.manager.tokens?.accessToken);
  });

  it('with the bare pair that an app wrote itself is understood', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const first = scene.actor();
    await scene.start(first, minted);
    await scene.device.advance(56 * MINUTE);
    const newer = first.manager.tokens;
    first.manager.stop();
    const storage = { ...memoryStorage(), get: () => newer };
    const second = scene.actor({ storage });
    await scene.start(second, minted);
    expect(second.manager.tokens?.accessToken).toBe(newer?.accessToken);
  });
});

describe('a new pair', () => {
  it('is saved, then told, and only then used', async () => {
    const scene = new Scene();
    const order: string[] = [];
    const kept = memoryStorage();
    const old = scene.server.mint();
    const actor = scene.actor({
      storage: {
        ...kept,
        set: async (value) => {
          order.push(
            `save, using ${actor.manager.tokens?.accessToken === old.accessToken ? 'old' : 'other'}`,
          );
          await kept.set(value);
        },
      },
      onTokenRefresh: async () => {
        order.push(`tell, using ${actor.manager.tokens?.accessToken === old.accessToken ? 'old' : 'other'}`);
      },
    });
    await scene.start(actor, old);
    order.length = 0;
    await scene.device.advance(56 * MINUTE);
    expect(order).toEqual(['save, using old', 'tell, using old']);
    expect(actor.manager.tokens?.accessToken).not.toBe(old.accessToken);
  });

  it('is used after five seconds where the app does not come back from its callback', async () => {
    const scene = new Scene();
    const actor = scene.actor({ onTokenRefresh: () => new Promise(() => {}) });
    const old = scene.server.mint();
    await scene.start(actor, old);
    await scene.device.advance(55.25 * MINUTE);
    expect(actor.manager.tokens?.accessToken).toBe(old.accessToken);
    await scene.device.advance(5_200);
    expect(actor.manager.tokens?.accessToken).not.toBe(old.accessToken);
    expect(actor.storageErrors).toHaveLength(1);
  });

  it('is used though the callback throws, and the next one is told all the same', async () => {
    const scene = new Scene();
    let calls = 0;
    const actor = scene.actor({
      onTokenRefresh: () => {
        calls += 1;
        throw new Error('mine');
      },
    });
    await scene.start(actor);
    await scene.device.advance(2 * HOUR);
    expect(calls).toBe(2);
    expect(actor.manager.state).toBe('valid');
    expect(actor.errors).toEqual([]);
  });

  it('that was saved before the app was killed is there at the next start', async () => {
    const scene = new Scene();
    const old = scene.server.mint();
    const killed = scene.actor({ onTokenRefresh: () => new Promise(() => {}) });
    await scene.start(killed, old);
    await scene.device.advance(55.25 * MINUTE + 200);
    killed.manager.stop();
    scene.device.sleep(24 * HOUR);
    const next = scene.actor();
    await scene.start(next, old);
    await scene.device.advance(1_000);
    expect(next.ends).toEqual([]);
    expect(next.manager.state).toBe('valid');
  });
});
