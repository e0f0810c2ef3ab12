/** Logging out: with a session and without one, for other tabs and the server. R81, R82, C38. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoredTokens, TokenStorage } from '../src/index.ts';
import { ClientScene } from './support/client-scene.ts';
import { sharedStorage } from './support/fake-platform.ts';
import { HOUR, MINUTE } from './support/scene.ts';

let scene: ClientScene;
beforeEach(() => {
  scene = new ClientScene();
});
afterEach(() => scene.end());

const revoked = (sid: string): boolean | undefined => scene.server.sessions.get(sid)?.revoked;

describe('without a session', () => {
  it('after a disconnect ends the one that was left', async () => {
    const { sdk } = scene.client();
    const given = scene.input();
    await sdk.connect(given);
    await sdk.disconnect();
    expect(scene.stored).toContain('eyJ');
    await sdk.logout();
    expect(scene.stored).not.toContain('eyJ');
    expect(revoked(given.sid)).toBe(true);
  });

  it('in a page just loaded ends the one that is stored, with its newest pair', async () => {
    const given = scene.input();
    const before = scene.client();
    await before.sdk.connect(given);
    await scene.device.advance(56 * MINUTE);
    const newest = before.told[0]?.refreshToken;
    await before.sdk.disconnect();
    const { sdk } = scene.client({}, scene.newTab());
    await sdk.logout();
    expect(scene.stored).not.toContain('eyJ');
    expect(scene.server.seen.at(-1)).toMatchObject({ path: '/auth/revoke', body: { refreshToken: newest } });
    expect(revoked(given.sid)).toBe(true);
  });

  it('finds whom the storage of the app is about', async () => {
    const storage = sharedStorage();
    const given = scene.input();
    const before = scene.client({ storage });
    await before.sdk.connect(given);
    await before.sdk.disconnect();
    await scene.client({ storage }, scene.newTab()).sdk.logout();
    expect(storage.text).not.toContain('eyJ');
    expect(revoked(given.sid)).toBe(true);
  });

  it('ends the session in another tab, too', async () => {
    const given = scene.input();
    const other = scene.client({}, scene.newTab());
    await other.sdk.connect(given);
    const done = scene.client({}, scene.newTab()).sdk.logout();
    await scene.device.advance(1_000);
    await done;
    expect(other.ends.items).toEqual(['logged_out']);
  });

  it('of a named user leaves others alone', async () => {
    const ann = scene.client();
    const bob = scene.client({}, scene.newTab());
    const [hers, his] = [scene.input('ann'), scene.input('bob')];
    await ann.sdk.connect(hers);
    await bob.sdk.connect(his);
    const done = bob.sdk.logout({ userID: 'ann' });
    await scene.device.advance(1_000);
    await done;
    expect(ann.ends.items).toEqual(['logged_out']);
    expect(bob.sdk.connectivity).toBe('connected');
    expect([revoked(hers.sid), revoked(his.sid)]).toEqual([true, false]);
  });

  it('where nobody ever signed in does nothing', async () => {
    await scene.client().sdk.logout();
    expect(scene.server.seen).toEqual([]);
    expect(scene.stored).not.toContain('generation');
  });

  it('is remembered, and not repeated', async () => {
    const { sdk } = scene.client();
    await sdk.connect(scene.input());
    await sdk.logout();
    const sent = scene.server.seen.length;
    await scene.client({}, scene.newTab()).sdk.logout();
    expect(scene.server.seen).toHaveLength(sent);
  });

  it('waits in the outbox where there is no network', async () => {
    const { sdk } = scene.client();
    const given = scene.input();
    await sdk.connect(given);
    await sdk.disconnect();
    scene.server.intercept = () => {
      throw new TypeError('Failed to fetch');
    };
    const done = sdk.logout();
    await scene.device.advance(10 * MINUTE);
    await done;
    expect(revoked(given.sid)).toBe(false);
    scene.server.intercept = () => undefined;
    const next = scene.input();
    await sdk.connect(next);
    await scene.device.advance(2_000);
    expect(revoked(given.sid)).toBe(true);
    expect(revoked(next.sid)).toBe(false);
  });
});

describe('with a session', () => {
  it('while it begins ends it', async () => {
    const { sdk } = scene.client();
    const given = scene.input();
    const connecting = sdk.connect(given);
    connecting.catch(() => {});
    await sdk.logout();
    expect(scene.stored).not.toContain('eyJ');
    expect(revoked(given.sid)).toBe(true);
    expect(sdk.user).toBeNull();
  });

  it('tells other tabs when the tombstone stands, and not before', async () => {
    const { device } = scene;
    const storage = sharedStorage();
    const given = scene.input();
    let heard = '';
    await scene.client({ storage }).sdk.connect(given);
    // Another tab of the same user, as the channel has it.
    scene.newTab().platform.channel(`chatsdk:http://localhost:5500:ann`, (message) => {
      if ((message as { type: string }).type === 'signedOut') heard = storage.text ?? '';
    });
    const { sdk } = scene.client({ storage });
    await sdk.connect(given);
    const done = sdk.logout();
    await device.advance(1_000);
    await done;
    expect(JSON.parse(heard)).toMatchObject({ generation: 1 });
    expect(heard).not.toContain('accessToken');
  });

  it('does not end what is begun before it is done', async () => {
    const kept = sharedStorage();
    // Slow, as storages of phones are; and no locks, as there.
    const later = <T>(work: () => T | Promise<T>): Promise<T> =>
      new Promise((resolve) => scene.tab.platform.timers.after(10, () => resolve(work())));
    const storage: TokenStorage = {
      get: () => later(() => kept.get()),
      set: (value) => later(() => kept.set(value)),
      remove: () => later(() => kept.remove()),
    };
    scene.tab.locks = false;
    const { sdk, ends } = scene.client({ storage });
    const first = sdk.connect(scene.input());
    await scene.device.advance(1_000);
    await first;
    const done = sdk.logout();
    const again = scene.input();
    const second = sdk.connect(again);
    await scene.device.advance(1_000);
    await Promise.all([done, second]);
    await scene.device.advance(2 * HOUR);
    expect(ends.items).toEqual([]);
    expect(sdk.connectivity).toBe('connected');
    expect(sdk.debugAuth().auth?.sid).toBe(again.sid);
    expect(JSON.parse(kept.text ?? '')).toMatchObject({ generation: 1, accessToken: expect.any(String) });
  });

  it('does not end what was begun in another tab since', async () => {
    const one = scene.client({}, scene.newTab());
    const other = scene.client({}, scene.newTab());
    const given = scene.input();
    await one.sdk.connect(given);
    await other.sdk.connect(given);
    // The other tab signs in anew in the moment in which it hears of the logout.
    const again = scene.input();
    other.sdk.on('sessionEnded', () => void other.sdk.connect(again));
    const done = one.sdk.logout();
    await scene.device.advance(2 * HOUR);
    await done;
    expect(other.ends.items).toEqual(['logged_out']);
    expect(other.sdk.connectivity).toBe('connected');
    expect(revoked(again.sid)).toBe(false);
  });

  it('reaches tabs that share no storage, again and again', async () => {
    const apart = (): TokenStorage => sharedStorage();
    const one = scene.client({ storage: apart() }, scene.newTab());
    const other = scene.client({ storage: apart() }, scene.newTab());
    for (let turn = 1; turn <= 3; turn += 1) {
      const given = scene.input();
      await one.sdk.connect(given);
      await other.sdk.connect(given);
      const done = (turn === 2 ? other : one).sdk.logout();
      await scene.device.advance(1_000);
      await done;
      expect(one.sdk.connectivity, `turn ${turn}`).toBeNull();
      expect(other.sdk.connectivity, `turn ${turn}`).toBeNull();
    }
  });

  it('revokes the session that is stored beside its own', async () => {
    const storage = sharedStorage();
    const deaf = { ...storage, subscribe: () => () => {} };
    const tab = scene.newTab();
    tab.channels = false;
    const [first, second] = [scene.input(), scene.input()];
    const { sdk } = scene.client({ storage: deaf }, tab);
    await sdk.connect(first);
    const newer: StoredTokens = {
      ...(storage.get() as StoredTokens),
      accessToken: second.token,
      refreshToken: second.refreshToken ?? '',
    };
    storage.set(newer);
    await sdk.logout();
    expect([revoked(first.sid), revoked(second.sid)]).toEqual([true, true]);
  });

  it('without a refresh token revokes with the access token', async () => {
    const { sdk } = scene.client();
    const { userID, token, expiresAt, sid } = scene.input();
    await sdk.connect({ userID, token, expiresAt });
    await sdk.logout();
    expect(scene.server.seen).toMatchObject([{ path: '/auth/revoke', authorization: `Bearer ${token}` }]);
    expect(revoked(sid)).toBe(true);
    expect(scene.stored).not.toContain('eyJ');
  });

  it('clears a storage that takes nothing any more', async () => {
    const kept = sharedStorage();
    let full = false;
    const storage: TokenStorage = {
      ...kept,
      set: (value) => {
        if (full) throw new DOMException('full', 'QuotaExceededError');
        return kept.set(value);
      },
    };
    const { sdk } = scene.client({ storage });
    await sdk.connect(scene.input());
    full = true;
    await sdk.logout();
    expect(kept.text).toBeNull();
  });
});

it('a page that was frozen finds out when it thaws', async () => {
  const storage = sharedStorage();
  const given = scene.input();
  const tab = scene.newTab();
  tab.channels = false;
  const frozen = scene.client({ storage: { ...storage, subscribe: () => () => {} } }, tab);
  await frozen.sdk.connect(given);
  const { sdk } = scene.client({ storage }, scene.newTab());
  await sdk.connect(given);
  await sdk.logout();
  expect(frozen.ends.items).toEqual([]);
  tab.resume();
  await scene.device.settle();
  expect(frozen.ends.items).toEqual(['logged_out']);
});

describe('a logout that is under way', () => {
  it.each([true, false])(
    'does not end what another client of the page begins (with locks: %s)',
    async (locks) => {
      scene.tab.shared = new Map();
      scene.tab.locks = locks;
      const one = scene.client();
      const two = scene.client();
      one.sdk.connect(scene.input()).catch(() => {});
      const done = one.sdk.logout();
      const fresh = scene.input();
      await two.sdk.connect(fresh);
      await scene.device.advance(HOUR);
      await done;
      expect(two.ends.items).toEqual([]);
      expect(revoked(fresh.sid)).toBe(false);
    },
  );

  it('is not undone by a save that was given up and happens all the same', async () => {
    const kept = sharedStorage();
    let land: (() => void) | null = null;
    let slow = false;
    const storage: TokenStorage = {
      get: kept.get,
      remove: kept.remove,
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
    await scene.device.advance(56 * MINUTE);
    const done = actor.manager.logout();
    await scene.device.advance(1_000);
    await done;
    expect(kept.text).not.toContain('accessToken');
    (land as unknown as () => void)();
    await scene.device.settle();
    expect(kept.text).not.toContain('accessToken');
  });
});

it.each([true, false])(
  'what connects right after a logout leaves it to that to revoke the session (in the same page: %s)',
  async (same) => {
    scene.tab.shared = new Map();
    const { sdk } = scene.client();
    const given = scene.input();
    await sdk.connect(given);
    // The answer takes its time.
    scene.server.intercept = (seen) =>
      seen.path.endsWith('/auth/revoke')
        ? new Promise((answer) => {
            scene.tab.platform.timers.after(100, () => answer(scene.server.answer(seen)));
          })
        : undefined;
    const done = sdk.logout();
    await scene.device.settle();
    const next = same ? scene.client() : scene.client({}, scene.newTab());
    await next.sdk.connect(scene.input());
    await scene.device.advance(MINUTE);
    await done;
    expect(scene.server.seen.filter(({ path }) => path.endsWith('/auth/revoke'))).toHaveLength(1);
    expect(revoked(given.sid)).toBe(true);
  },
);

describe('a logout without a network', () => {
  async function logOutOffline() {
    const { sdk } = scene.client();
    const given = scene.input();
    await sdk.connect(given);
    scene.device.goOnline(false);
    scene.server.intercept = () => {
      throw new TypeError('Failed to fetch');
    };
    const done = sdk.logout();
    await scene.device.advance(HOUR);
    await done;
    expect(revoked(given.sid)).toBe(false);
    return { sdk, sid: given.sid };
  }

  it('is told to the server as soon as there is one', async () => {
    const { sid } = await logOutOffline();
    expect(scene.server.seen.length).toBeLessThan(20);
    scene.server.intercept = () => undefined;
    scene.device.goOnline(true);
    await scene.device.settle();
    expect(revoked(sid)).toBe(true);
    expect(scene.stored).not.toContain('revoke');
    expect(scene.device.timers.size).toBe(0);
  });

  it('is told by whoever connects next, in another page and as another user', async () => {
    const { sid } = await logOutOffline();
    // The page is gone, and with it what it still had in mind.
    scene.device.timers.clear();
    scene.device.networkListeners.clear();
    scene.server.intercept = () => undefined;
    scene.device.goOnline(true);
    const bob = scene.client({}, scene.newTab());
    const his = scene.input('bob');
    await bob.sdk.connect(his);
    await scene.device.advance(2_000);
    expect(revoked(sid)).toBe(true);
    expect(bob.sdk.connectivity).toBe('connected');
    await bob.sdk.disconnect();
    // Who signed in last is still known.
    const page = scene.client({}, scene.newTab());
    const done = page.sdk.logout();
    await scene.device.advance(1_000);
    await done;
    expect(revoked(his.sid)).toBe(true);
  });
});
