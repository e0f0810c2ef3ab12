/** Callers, tabs and users side by side: C8, C14, C20, C22, C34, C36, C38, C39, and logout. */
import { describe, expect, it } from 'vitest';
import { DisconnectedError, type StoredTokens, type Tokens } from '../src/index.ts';
import { problem, sharedStorage } from './support/fake-platform.ts';
import { type Actor, HOUR, MINUTE, Scene } from './support/scene.ts';

describe('in one tab', () => {
  it('a hundred callers are one request', async () => {
    const scene = new Scene();
    const actor = scene.actor({}, (tab) => {
      tab.visible = false;
    });
    await scene.start(actor);
    scene.device.sleep(2 * HOUR);
    const tokens = Promise.all(Array.from({ length: 100 }, () => actor.manager.getToken()));
    await scene.device.advance(1_000);
    expect(new Set(await tokens).size).toBe(1);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('a token whose end is near is given at once, and refreshed behind', async () => {
    const scene = new Scene();
    const actor = scene.actor({ refreshBufferMs: 20_000, inUse: () => false }, (tab) => {
      tab.visible = false;
    });
    const tokens = scene.server.mint();
    await scene.start(actor, tokens);
    await scene.device.advance(HOUR - 10_000);
    expect(await actor.manager.getToken()).toBe(tokens.accessToken);
    await scene.device.advance(1_000);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('a stop during a refresh leaves nothing behind', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    let aborted = false;
    const fetch = actor.tab.fetch;
    actor.tab.fetch = (url, init) => {
      init.signal?.addEventListener('abort', () => {
        aborted = true;
      });
      return fetch(url, init);
    };
    let answer = (): void => {};
    scene.server.intercept = (seen) =>
      new Promise((resolve) => {
        answer = () => resolve(scene.server.answer(seen));
      });
    await scene.device.advance(55.4 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(1);
    const waiting = actor.manager.tokenOtherThan(actor.manager.tokens?.accessToken ?? '');
    const stored = JSON.stringify([...scene.device.storage.values()].map((one) => one.get()));
    actor.manager.stop();
    expect(aborted).toBe(true);
    await expect(waiting).rejects.toBeInstanceOf(DisconnectedError);
    answer();
    await scene.device.settle();
    expect(scene.device.timers.size).toBe(0);
    await scene.device.advance(2 * HOUR);
    expect(actor.told).toHaveLength(0);
    expect(actor.errors).toHaveLength(0);
    expect(JSON.stringify([...scene.device.storage.values()].map((one) => one.get()))).toBe(stored);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('a change of user during a refresh mixes nothing', async () => {
    const scene = new Scene();
    const ann = scene.actor();
    const bob = scene.actor({ userID: 'bob' });
    await scene.start(ann);
    let answer = (): void => {};
    scene.server.intercept = (seen) =>
      new Promise((resolve) => {
        answer = () => resolve(scene.server.answer(seen));
      });
    await scene.device.advance(55.5 * MINUTE);
    ann.manager.stop();
    scene.server.intercept = () => undefined;
    await scene.start(bob, scene.server.mint('bob'));
    answer();
    await scene.device.advance(MINUTE);
    expect(bob.manager.user?.id).toBe('bob');
    expect(ann.told).toHaveLength(0);
    expect(bob.told).toHaveLength(0);
  });

  it('starts again after a stop, with the newer of what is given and what is stored', async () => {
    const scene = new Scene();
    const first = scene.actor();
    const given = scene.server.mint();
    await scene.start(first, given);
    await scene.device.advance(56 * MINUTE);
    const newest = first.manager.tokens?.accessToken;
    first.manager.stop();
    const second = scene.actor();
    await scene.start(second, given);
    expect(second.manager.tokens?.accessToken).toBe(newest);
    expect(second.told).toHaveLength(1);
    await scene.device.advance(HOUR);
    expect(second.ends).toHaveLength(0);
  });

  it('ten thousand starts and stops leave no timer and no listener', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    const tokens = scene.server.mint();
    for (let turn = 0; turn < 10_000; turn += 1) {
      const started = actor.manager.start(tokens);
      if (turn % 2 === 0) await started;
      actor.manager.stop();
    }
    await scene.device.advance(5_000);
    expect(scene.device.timers.size).toBe(0);
    expect(scene.device.networkListeners.size).toBe(0);
    expect(actor.tab.resumeListeners.size).toBe(0);
    for (const members of scene.device.channels.values()) expect(members.size).toBe(0);
  }, 60_000);
});

describe('ten tabs', () => {
  const worlds: [string, boolean, boolean, boolean][] = [
    ['locks, channels and storage', true, true, true],
    ['no locks', false, true, true],
    ['no channels', true, false, true],
    ['storage alone', false, false, true],
    ['channels alone', false, true, false],
  ];

  it.each(worlds)('with %s: nobody is signed out in a day', async (_name, locks, channels, storage) => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const actors: Actor[] = [];
    for (let n = 0; n < 10; n += 1) {
      const actor = scene.actor({}, (tab) => {
        tab.locks = locks;
        tab.channels = channels;
        tab.random = n / 10;
        if (!storage) tab.device.storage.clear();
      });
      if (!storage) scene.device.storage.clear();
      await scene.start(actor, minted);
      actors.push(actor);
    }
    await scene.device.advance(24 * HOUR);
    for (const actor of actors) {
      expect(actor.ends).toEqual([]);
      expect(actor.errors).toEqual([]);
      expect(actor.manager.state).toBe('valid');
    }
    const cycles = 24 * (60 / 55);
    expect(scene.server.refreshes.length).toBeLessThanOrEqual(cycles * (channels || storage ? 2 : 10));
    expect(scene.server.refreshes.length).toBeGreaterThanOrEqual(Math.floor(cycles) - 1);
  });

  it('that wake at the same moment are one request', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const actors = Array.from({ length: 10 }, () => scene.actor());
    for (const actor of actors) await scene.start(actor, minted);
    scene.device.sleep(8 * HOUR);
    for (const actor of actors) actor.tab.resume();
    await scene.device.advance(5_000);
    expect(scene.server.refreshes).toHaveLength(1);
    const tokens = new Set(actors.map((actor) => actor.manager.tokens?.accessToken));
    expect(tokens.size).toBe(1);
    for (const actor of actors) expect(actor.told).toHaveLength(1);
  });
});

describe('two tabs', () => {
  it('a pair that another tab stored while this one was frozen is used, not asked for', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const storage = sharedWith(scene);
    const one = scene.actor();
    const frozen = scene.actor(
      { storage: { ...storage, subscribe: () => () => {} }, inUse: () => false },
      (tab) => {
        tab.channels = false;
        tab.visible = false;
      },
    );
    await scene.start(one, minted);
    await scene.start(frozen, minted);
    await scene.device.advance(90 * MINUTE);
    expect(frozen.manager.tokens?.accessToken).toBe(minted.accessToken);
    frozen.tab.visible = true;
    frozen.tab.resume();
    await scene.device.advance(1_000);
    expect(frozen.manager.tokens?.accessToken).toBe(one.manager.tokens?.accessToken);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('an old token that is refused ends nothing where a newer pair is stored', async () => {
    const scene = new Scene();
    const storage = sharedWith(scene);
    const actor = scene.actor({ storage: { ...storage, subscribe: () => () => {} } });
    await scene.start(actor);
    scene.server.intercept = async (seen) => {
      scene.server.intercept = () => undefined;
      // Between reading the storage and the server's answer, another tab refreshed and stored.
      const pair = JSON.parse(await scene.server.answer(seen).text()) as Tokens;
      const record = { ...(storage.get() as StoredTokens), ...pair, receivedAt: scene.device.wall };
      storage.set(record);
      return problem(401, 'refresh_token_reused');
    };
    await scene.device.advance(56 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(actor.errors).toEqual([]);
    expect(actor.ends).toEqual([]);
    expect(actor.manager.tokens?.accessToken).toBe((storage.get() as StoredTokens).accessToken);
    expect(actor.told).toHaveLength(1);
  });

  it('that share channels and no storage each keep what the other got', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const one = scene.actor({ storage: sharedStorage() });
    const apart = sharedStorage();
    const heard = scene.actor({ storage: apart });
    await scene.start(one, minted);
    await scene.start(heard, minted);
    await scene.device.advance(57 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(1);
    scene.server.show(await heard.manager.getToken());
    one.manager.stop();
    heard.manager.stop();
    expect(apart.text).toContain(heard.told[0]?.refreshToken);
    await scene.device.advance(HOUR);
    const again = scene.actor({ storage: apart });
    await scene.start(again, minted);
    await scene.device.advance(MINUTE);
    expect(again.ends).toEqual([]);
    expect(again.manager.state).toBe('valid');
  });

  it('a logout in one ends the other, at once and without an error', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const one = scene.actor();
    const other = scene.actor();
    await scene.start(one, minted);
    await scene.start(other, minted);
    const done = one.manager.logout();
    expect(one.manager.tokens).toBeNull();
    await scene.device.advance(1_000);
    await done;
    expect(other.ends).toEqual(['logged_out']);
    expect(other.errors).toEqual([]);
    expect(scene.server.sessions.get(minted.sid)?.revoked).toBe(true);
    expect(scene.device.timers.size).toBe(0);
    for (const storage of scene.device.storage.values())
      expect(JSON.stringify(storage.get())).not.toContain('eyJ');
  });

  it('a refresh that a logout overtook is not saved', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const deaf = (tab: { channels: boolean }): void => {
      tab.channels = false;
    };
    const storage = sharedWith(scene);
    const one = scene.actor({}, deaf);
    const other = scene.actor({ storage: { ...storage, subscribe: () => () => {} } }, deaf);
    await scene.start(one, minted);
    await scene.start(other, minted);
    one.manager.stop();
    let answer = (): void => {};
    scene.server.intercept = (seen) =>
      new Promise((resolve) => {
        answer = () => resolve(scene.server.answer(seen));
      });
    await scene.device.advance(55.4 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(1);
    const late = answer;
    scene.server.intercept = () => undefined;
    const again = scene.actor({}, deaf);
    await scene.start(again, minted);
    const done = again.manager.logout();
    late();
    await scene.device.advance(1_000);
    await done;
    expect(other.told).toEqual([]);
    expect(other.ends).toEqual(['logged_out']);
    expect(JSON.stringify(storage.get())).not.toContain('eyJ');
  });

  it('of two users of one origin do not disturb each other', async () => {
    const scene = new Scene();
    const ann = scene.actor();
    const bob = scene.actor({ userID: 'bob' });
    await scene.start(ann, scene.server.mint('ann'));
    await scene.start(bob, scene.server.mint('bob'));
    await scene.device.advance(2 * HOUR);
    const done = ann.manager.logout();
    await scene.device.advance(2 * HOUR);
    await done;
    expect(bob.ends).toEqual([]);
    expect(bob.manager.state).toBe('valid');
    expect(bob.manager.user?.id).toBe('bob');
  });
});

describe('a logout without a network', () => {
  it('waits in the outbox, and is told to the server at the next start', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const actor = scene.actor();
    await scene.start(actor, minted);
    scene.server.intercept = () => {
      throw new TypeError('Failed to fetch');
    };
    const done = actor.manager.logout();
    await scene.device.advance(10 * MINUTE);
    await done;
    expect(scene.server.sessions.get(minted.sid)?.revoked).toBe(false);
    scene.server.intercept = () => undefined;
    const next = scene.actor();
    await scene.start(next, scene.server.mint());
    await scene.device.advance(2_000);
    expect(scene.server.sessions.get(minted.sid)?.revoked).toBe(true);
    expect(next.manager.state).toBe('valid');
    const stored = JSON.stringify([...scene.device.storage.values()].map((one) => one.get()));
    expect(stored).not.toContain('revoke');
  });
});

/** The storage that the tabs of the scene share. */
function sharedWith(scene: Scene) {
  const key = 'chatsdk:http://localhost:5500:ann';
  return scene.actor().tab.platform.storage(key);
}
