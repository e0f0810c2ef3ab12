/** Storages that fail, hang and hold nonsense: C25, C27. */
import { describe, expect, it } from 'vitest';
import { StorageError, type StoredTokens, type TokenStorage } from '../src/index.ts';
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

/**
 * A pair whose access token the server has seen makes its predecessor worthless, 60 seconds later: whoever then starts
 * with the predecessor is taken for a thief. So a pair is used only where no start can find the predecessor.
 */
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
