/** Storages that fail, hang and hold nonsense: C25, C27; and the order of saving, telling and using. */
import { describe, expect, it } from 'vitest';
import { StorageError, type StoredTokens, type TokenStorage, type Tokens } from '../src/index.ts';
import { memoryStorage, type Tab } from './support/fake-platform.ts';
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

describe('a pair that another tab has just saved', () => {
  it('is not presented at once, though it looks as if it had ended', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const other = scene.actor();
    await scene.start(other, minted);
    await scene.device.advance(56 * MINUTE);
    const newer = other.manager.tokens;
    other.manager.stop();
    const receivedAt = scene.device.wall;
    let reads = 0;
    const storage: TokenStorage = {
      ...memoryStorage(),
      get: () => {
        reads += 1;
        // The server's clock is not three hours ahead: whoever saved it was wrong.
        return reads === 1
          ? null
          : { v: 1, userID: 'ann', generation: 0, ...newer, receivedAt, offset: 3 * HOUR };
      },
    };
    const actor = scene.actor({ storage });
    const asked = scene.server.refreshes.length;
    await scene.start(actor, minted);
    await scene.device.advance(20_000);
    expect(scene.server.refreshes).toHaveLength(asked);
    await scene.device.advance(MINUTE);
    expect(scene.server.refreshes.length).toBeGreaterThan(asked);
    expect(actor.manager.state).toBe('valid');
    expect(actor.ends).toEqual([]);
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

/**
 * A pair whose access token the server has seen makes its predecessor worthless, 60 seconds later: whoever then starts
 * with the predecessor is taken for a thief. So a pair is used only where no start can find the predecessor.
 */
describe('a pair that cannot be saved', () => {
  /** A storage with a switch: what it does with writes, and whether it forgets. */
  function faulty() {
    const kept = memoryStorage();
    const faults = { set: 'none' as 'none' | 'full' | 'hangs', remove: true };
    const storage: TokenStorage = {
      get: () => kept.get(),
      set: (value) => {
        if (faults.set === 'hangs') return new Promise<void>(() => {});
        if (faults.set === 'full') throw new DOMException('full', 'QuotaExceededError');
        return kept.set(value);
      },
      remove: () => {
        if (!faults.remove) throw new Error('read-only');
        return kept.remove();
      },
    };
    return { kept, faults, storage };
  }

  /** The app is killed, and started again after the grace of the server, with what stands in the storage. */
  async function restart(scene: Scene, kept: TokenStorage, given: Tokens) {
    await scene.device.advance(2 * MINUTE);
    const next = scene.actor({ storage: kept });
    await scene.start(next, given);
    await scene.device.advance(HOUR);
    return next;
  }

  it.each(['full', 'hangs'] as const)(
    'is not used while an older one stands there (%s): a kill signs nobody out',
    async (fault) => {
      const scene = new Scene();
      const { kept, faults, storage } = faulty();
      const given = scene.server.mint();
      const actor = scene.actor({ storage });
      await scene.start(actor, given);
      faults.set = fault;
      faults.remove = false;
      await scene.device.advance(57 * MINUTE);
      expect(scene.server.refreshes.length).toBeGreaterThan(0);
      expect(actor.manager.tokens?.accessToken).toBe(given.accessToken);
      expect(actor.told).toEqual([]);
      expect(actor.storageErrors.length).toBeGreaterThan(0);
      // What is used, the server takes note of.
      scene.server.show(await actor.manager.getToken());
      actor.manager.stop();
      const next = await restart(scene, kept, given);
      expect(next.ends).toEqual([]);
      expect(next.manager.state).toBe('valid');
    },
  );

  it('is weather where it lasts longer than the old token, and passes', async () => {
    const scene = new Scene();
    const { faults, storage } = faulty();
    const actor = scene.actor({ storage });
    await scene.start(actor);
    faults.set = 'full';
    faults.remove = false;
    await scene.device.advance(2 * HOUR);
    expect(actor.manager.state).toBe('expired');
    expect(actor.ends).toEqual([]);
    expect(actor.errors).toHaveLength(1);
    expect(actor.errors[0]).toMatchObject({ kind: 'storage', code: 'storage_failed', retryable: true });
    expect(actor.errors[0]?.message).toMatch(/^Network/);
    faults.set = 'none';
    await scene.device.advance(2 * MINUTE);
    expect(actor.manager.state).toBe('valid');
  });

  it('is used once the older one is out of the storage', async () => {
    const scene = new Scene();
    const { kept, faults, storage } = faulty();
    const given = scene.server.mint();
    const actor = scene.actor({ storage });
    await scene.start(actor, given);
    faults.set = 'full';
    await scene.device.advance(56 * MINUTE);
    expect(kept.get()).toBeNull();
    expect(actor.manager.tokens?.accessToken).not.toBe(given.accessToken);
    expect(actor.manager.state).toBe('valid');
    await scene.device.advance(3 * HOUR);
    expect(actor.ends).toEqual([]);
    expect(actor.told.length).toBeGreaterThanOrEqual(3);
  });

  it('is found by a write that came late, and used then', async () => {
    const scene = new Scene();
    const kept = memoryStorage();
    let land = (): void => {};
    let hang = false;
    const storage: TokenStorage = {
      ...kept,
      set: (value) => {
        if (!hang) return kept.set(value);
        return new Promise<void>((resolve) => {
          land = () => {
            void kept.set(value);
            resolve();
          };
        });
      },
    };
    const given = scene.server.mint();
    const actor = scene.actor({ storage });
    await scene.start(actor, given);
    hang = true;
    await scene.device.advance(55.25 * MINUTE + 200);
    expect(actor.manager.tokens?.accessToken).toBe(given.accessToken);
    await scene.device.advance(5_000);
    expect(actor.manager.state).toBe('stale');
    land();
    hang = false;
    await scene.device.advance(MINUTE);
    expect(actor.manager.state).toBe('valid');
    expect(scene.server.refreshes).toHaveLength(1);
  });
});

describe('a storage that is locked when the app starts in the background', () => {
  it('is waited for, since what stands there may be newer than what the app gave', async () => {
    const scene = new Scene();
    const kept = memoryStorage();
    const given = scene.server.mint();
    const before = scene.actor({ storage: kept });
    await scene.start(before, given);
    await scene.device.advance(3 * HOUR);
    scene.server.show(await before.manager.getToken());
    before.manager.stop();

    let locked = true;
    const open = <T>(work: () => T): T => {
      if (locked) throw new Error('the keychain is locked');
      return work();
    };
    const keychain: TokenStorage = {
      get: () => open(() => kept.get()),
      set: (value) => open(() => kept.set(value)),
      remove: () => open(() => kept.remove()),
    };
    const actor = scene.actor({ storage: keychain }, (tab) => {
      tab.visible = false;
    });
    const asked = scene.server.refreshes.length;
    await scene.start(actor, given);
    await scene.device.advance(30 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(asked);
    expect(actor.manager.state).toBe('expired');
    locked = false;
    actor.tab.visible = true;
    actor.tab.resume();
    await scene.device.advance(2 * MINUTE);
    expect(actor.ends).toEqual([]);
    expect(actor.manager.state).toBe('valid');
  });

  it('is not waited for where a browser blocks it', async () => {
    const scene = new Scene();
    const storage = broken(() => {
      throw new DOMException('denied', 'SecurityError');
    });
    const actor = scene.actor({ storage }, (tab) => {
      tab.visible = false;
    });
    await scene.start(actor);
    await scene.device.advance(3 * HOUR);
    expect(actor.manager.state).toBe('valid');
    expect(actor.told.length).toBeGreaterThanOrEqual(3);
  });
});

describe('a storage that was left', () => {
  it('gets nothing from a refresh that was under way', async () => {
    const scene = new Scene();
    const kept = memoryStorage();
    let slow = false;
    let read = (): void => {};
    const storage: TokenStorage = {
      ...kept,
      get: () =>
        slow
          ? new Promise((resolve) => {
              read = () => resolve(kept.get());
            })
          : kept.get(),
    };
    const actor = scene.actor({ storage });
    await scene.start(actor);
    scene.server.intercept = (seen) => {
      slow = true;
      return scene.server.answer(seen);
    };
    await scene.device.advance(55.25 * MINUTE + 200);
    expect(scene.server.refreshes).toHaveLength(1);
    actor.manager.stop();
    // The app clears its storage, as the guide's logout does; then the reading that the save began with ends.
    await kept.remove();
    read();
    await scene.device.advance(MINUTE);
    expect(kept.get()).toBeNull();
  });
});

describe('a storage that dies in the middle of a session', () => {
  function dying() {
    const kept = memoryStorage();
    let why: Error | null = null;
    const fail = (): void => {
      if (why !== null) throw why;
    };
    const storage: TokenStorage = {
      get: () => {
        fail();
        return kept.get();
      },
      set: (value) => {
        fail();
        return kept.set(value);
      },
      remove: fail,
    };
    return {
      storage,
      die: (error: Error) => {
        why = error;
      },
    };
  }

  it('because the browser blocks it leaves the session to memory', async () => {
    const scene = new Scene();
    const { storage, die } = dying();
    const actor = scene.actor({ storage });
    await scene.start(actor);
    await scene.device.advance(30 * MINUTE);
    die(new DOMException('denied', 'SecurityError'));
    await scene.device.advance(3 * HOUR);
    expect(actor.manager.state).toBe('valid');
    expect(actor.errors).toEqual([]);
    expect(scene.server.refreshes.length).toBeLessThanOrEqual(4);
    expect(actor.storageErrors[0]?.message).not.toContain('in memory');
  });

  it('to writing costs one pair, and not one in every minute', async () => {
    const scene = new Scene();
    const { kept, storage } = frozen();
    const actor = scene.actor({ storage });
    await scene.start(actor);
    kept.readOnly = true;
    await scene.device.advance(5 * HOUR);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(actor.ends).toEqual([]);
    kept.readOnly = false;
    await scene.device.advance(2 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(2);
    expect(actor.manager.state).toBe('valid');
  });

  /** One that turns read-only. */
  function frozen() {
    const kept = { ...memoryStorage(), readOnly: false };
    const fail = (): void => {
      if (kept.readOnly) throw new Error('read-only');
    };
    const storage: TokenStorage = {
      get: kept.get,
      set: (value) => {
        fail();
        return kept.set(value);
      },
      remove: () => {
        fail();
        return kept.remove();
      },
    };
    return { kept, storage };
  }
});

it('a save that was given up and happens after a newer one does not bring the older pair back', async () => {
  const scene = new Scene();
  const kept = memoryStorage();
  let land: (() => void) | null = null;
  let slow = false;
  const storage: TokenStorage = {
    ...kept,
    set: (value) => {
      if (!slow) return kept.set(value);
      slow = false;
      return new Promise<void>((resolve) => {
        land = () => {
          void kept.set(value);
          resolve();
        };
      });
    },
  };
  const actor = scene.actor({ storage });
  await scene.start(actor);
  slow = true;
  await scene.device.advance(2 * HOUR);
  const newest = actor.manager.tokens?.accessToken;
  (land as unknown as () => void)();
  await scene.device.settle();
  expect((kept.get() as StoredTokens).accessToken).toBe(newest);
});

it('a storage of the app that gives back the text that it keeps is as good as one that parses it', async () => {
  const scene = new Scene();
  let text: string | null = null;
  const storage: TokenStorage = {
    get: () => text,
    set: (value) => {
      text = JSON.stringify(value);
    },
    remove: () => {
      text = null;
    },
  };
  const alone = (tab: Tab): void => {
    tab.channels = false;
  };
  const given = scene.server.mint();
  const one = scene.actor({ storage }, alone);
  await scene.start(one, given);
  const other = scene.actor({ storage }, alone);
  await scene.start(other, given);
  const done = other.manager.logout();
  await scene.device.settle();
  await done;
  await scene.device.advance(HOUR);
  expect(one.ends).toEqual(['logged_out']);
  expect(text).not.toContain('accessToken');
});

it.each([
  [
    'throws',
    () => {
      throw new Error('gone');
    },
  ],
  ['is no function', { remove: () => {} }],
] as [string, () => void][])(
  'what a storage gives to undo with %s: an end is told of all the same',
  async (_name, undo) => {
    const scene = new Scene();
    const actor = scene.actor({ storage: { ...memoryStorage(), subscribe: () => undo } });
    const given = scene.server.mint();
    await scene.start(actor, given);
    Object.assign(scene.server.sessions.get(given.sid) ?? {}, { revoked: true });
    await scene.device.advance(HOUR);
    expect(actor.ends).toEqual(['session_revoked']);
    expect(actor.errors).toHaveLength(1);
    expect(scene.device.timers.size).toBe(0);
  },
);

describe('an app that brings back its copy of an older session', () => {
  /** The tokens of a session from before the one that is stored. */
  async function older(scene: Scene, over: boolean): Promise<Tokens> {
    const old = scene.server.mint();
    await scene.device.advance(MINUTE);
    const actor = scene.actor();
    await scene.start(actor);
    actor.manager.stop();
    if (over) Object.assign(scene.server.sessions.get(old.sid) ?? {}, { revoked: true });
    return old;
  }

  it('which is over: the session that was stored goes on', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor, await older(scene, true));
    await scene.device.advance(2 * HOUR);
    expect(actor.ends).toEqual([]);
    expect(actor.errors).toEqual([]);
    expect(actor.manager.debug()).toMatchObject({ sid: 'ses_2', state: 'valid' });
  });

  it('which is not over: its word stands', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor, await older(scene, false));
    await scene.device.advance(2 * HOUR);
    expect(actor.manager.debug()).toMatchObject({ sid: 'ses_1', state: 'valid' });
  });

  it('which is over, like the one that was stored: the end is told of once', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    const old = await older(scene, true);
    Object.assign(scene.server.sessions.get('ses_2') ?? {}, { revoked: true });
    await scene.start(actor, old);
    await scene.device.advance(2 * HOUR);
    expect(actor.ends).toEqual(['session_revoked']);
    expect(actor.errors).toHaveLength(1);
  });
});
