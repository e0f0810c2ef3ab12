/** Several clients in one page: double mounts, modules reloaded in place, two copies of the package. R50, C41. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientScene } from './support/client-scene.ts';
import { memoryStorage } from './support/fake-platform.ts';
import { HOUR } from './support/scene.ts';

let scene: ClientScene;
beforeEach(() => {
  scene = new ClientScene();
  scene.tab.shared = new Map();
});
afterEach(() => scene.end());

/** One of the tokens, two of the socket. */
const listeners = (): number => scene.device.networkListeners.size;

describe('two clients of one user', () => {
  it('are one session and one socket, and each is told', async () => {
    const given = scene.input();
    const [one, other] = [scene.client(), scene.client()];
    await Promise.all([one.sdk.connect(given), other.sdk.connect(given)]);
    expect(scene.realtime.opened).toBe(1);
    await scene.device.advance(56 * 60_000);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(one.told).toHaveLength(1);
    expect(other.told).toEqual(one.told);
    expect(one.states.items).toEqual(['connecting', 'connected']);
    expect(other.states.items).toEqual(['connecting', 'connected']);
    expect(other.sdk.getCurrentUser()).toEqual(one.sdk.getCurrentUser());
  });

  it('that come one after the other share what the first one has', async () => {
    const given = scene.input();
    const one = scene.client();
    await one.sdk.connect(given);
    await scene.device.advance(56 * 60_000);
    const late = scene.client();
    await late.sdk.connect(given);
    expect(late.sdk.connectivity).toBe('connected');
    expect(late.told).toEqual(one.told);
    expect(scene.realtime.opened).toBe(1);
  });

  it('are connected, whatever the device takes for its network', async () => {
    const given = scene.input();
    await scene.client().sdk.connect(given);
    scene.device.online = false;
    const late = scene.client();
    await late.sdk.connect(given);
    expect(late.states.items).toEqual(['connecting', 'connected']);
  });

  it('that come one after the other are offline together', async () => {
    const given = scene.input();
    scene.realtime.onConnect = () => 1006;
    const one = scene.client();
    void one.sdk.connect(given);
    await one.states.until((state) => state === 'offline');
    const late = scene.client();
    const connecting = late.sdk.connect(given);
    await scene.device.settle();
    expect(late.states.items).toEqual(['connecting', 'offline']);
    await scene.device.advance(2_000);
    expect((await connecting).name).toBe('Ann');
  });

  it('go on when one of them leaves, and stop with the last', async () => {
    const given = scene.input();
    const [one, other] = [scene.client(), scene.client()];
    await one.sdk.connect(given);
    await other.sdk.connect(given);
    await one.sdk.disconnect();
    expect(one.sdk.user).toBeNull();
    expect(scene.realtime.sockets.size).toBe(1);
    await scene.device.advance(HOUR);
    expect(one.told).toHaveLength(0);
    expect(other.told).toHaveLength(1);
    await other.sdk.disconnect();
    expect(scene.realtime.sockets.size).toBe(0);
    expect(scene.device.timers.size).toBe(0);
    expect(scene.tab.shared?.size).toBe(0);
  });

  it('end together, and each is told once', async () => {
    const given = scene.input();
    const [one, other] = [scene.client(), scene.client()];
    await one.sdk.connect(given);
    await other.sdk.connect(given);
    const session = scene.server.sessions.get(given.sid);
    if (session) session.revoked = true;
    await scene.device.advance(HOUR);
    for (const { errors, ends } of [one, other]) {
      expect(ends.items).toEqual(['session_revoked']);
      expect(errors.items).toHaveLength(1);
    }
    expect(scene.tab.shared?.size).toBe(0);
  });

  it('are both out when one logs out', async () => {
    const given = scene.input();
    const [one, other] = [scene.client(), scene.client()];
    await one.sdk.connect(given);
    await other.sdk.connect(given);
    await one.sdk.logout();
    expect(one.ends.items).toEqual([]);
    expect(other.ends.items).toEqual(['logged_out']);
    expect(scene.realtime.sockets.size).toBe(0);
    expect(scene.stored).not.toContain('eyJ');
  });

  it('one of whose callbacks throws do not harm each other', async () => {
    const given = scene.input();
    const one = scene.client({
      onTokenRefresh: () => {
        throw new Error('mine');
      },
      onRefreshError: () => {
        throw new Error('mine');
      },
    });
    const other = scene.client();
    await one.sdk.connect(given);
    await other.sdk.connect(given);
    await scene.device.advance(56 * 60_000);
    expect(other.told).toHaveLength(1);
    const session = scene.server.sessions.get(given.sid);
    if (session) session.revoked = true;
    await scene.device.advance(HOUR);
    expect(other.errors.items).toHaveLength(1);
  });

  it('of different users are apart', async () => {
    const [ann, bob] = [scene.client(), scene.client()];
    await ann.sdk.connect(scene.input('ann'));
    await bob.sdk.connect(scene.input('bob'));
    expect(scene.realtime.sockets.size).toBe(2);
    expect([ann.sdk.user?.id, bob.sdk.user?.id]).toEqual(['ann', 'bob']);
  });

  it('are apart where the platform shares nothing', async () => {
    scene.tab.shared = null;
    const given = scene.input();
    await scene.client().sdk.connect(given);
    await scene.client().sdk.connect(given);
    expect(scene.realtime.opened).toBe(2);
  });
});

describe('a component that is mounted, unmounted and mounted at once', () => {
  it('before it is connected opens one socket', async () => {
    const given = scene.input();
    const { sdk, ends } = scene.client();
    sdk.connect(given).catch(() => {});
    void sdk.disconnect();
    await sdk.connect(given);
    expect(scene.realtime.opened).toBe(1);
    expect(listeners()).toBe(3);
    expect(ends.items).toEqual([]);
  });

  it('once connected keeps its socket', async () => {
    const given = scene.input();
    const { sdk, states } = scene.client();
    await sdk.connect(given);
    void sdk.disconnect();
    expect(sdk.user).toBeNull();
    expect((await sdk.connect(given)).id).toBe('ann');
    expect(scene.realtime.opened).toBe(1);
    expect(scene.realtime.sockets.size).toBe(1);
    expect(states.items.at(-1)).toBe('connected');
    await scene.device.advance(HOUR);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('keeps it though another instance comes in its place', async () => {
    const given = scene.input();
    const first = scene.client();
    await first.sdk.connect(given);
    void first.sdk.disconnect();
    const second = scene.client();
    await second.sdk.connect(given);
    await scene.device.advance(HOUR);
    expect(scene.realtime.opened).toBe(1);
    expect(first.told).toHaveLength(0);
    expect(second.told).toHaveLength(1);
  });

  it('survives that while its socket is being told of a new token', async () => {
    const given = scene.input();
    scene.server.ttl = 2_000;
    scene.realtime.onConnect = () => ({ connect: { client: 'c', version: '', expires: true, ttl: 1 } });
    const { sdk, ends } = scene.client();
    await sdk.connect(given);
    scene.server.intercept = () => new Promise(() => {});
    await scene.device.advance(1_500);
    void sdk.disconnect();
    scene.server.intercept = () => undefined;
    await sdk.connect(given);
    while (sdk.connectivity !== 'connected') await scene.device.advance(100);
    expect(ends.items).toEqual([]);
  });

  it('twenty times over is one session and one socket', async () => {
    const given = scene.input();
    for (let turn = 0; turn < 20; turn += 1) {
      const { sdk } = scene.client();
      const connecting = sdk.connect(given);
      connecting.catch(() => {});
      if (turn % 3 === 0) await connecting;
      void sdk.disconnect();
    }
    const last = scene.client();
    await last.sdk.connect(given);
    expect(scene.realtime.sockets.size).toBe(1);
    expect(scene.tab.shared?.size).toBe(1);
    expect(listeners()).toBe(3);
  });
});

describe('connect', () => {
  it('takes newer tokens up while it still begins', async () => {
    const { sdk } = scene.client();
    const older = scene.input();
    scene.device.sleep(1_000);
    const newer = scene.input();
    const first = sdk.connect(older);
    void sdk.connect(newer);
    await first;
    await scene.device.settle();
    expect(scene.stored).toContain(newer.refreshToken);
    const shown = await Promise.resolve(sdk.debugAuth().auth?.sid);
    expect(shown).toBe(newer.sid);
  });

  it('that could not begin leaves nothing behind, and the next one begins anew', async () => {
    const { sdk } = scene.client();
    const working = scene.tab.platform;
    let broken = true;
    const platform = {
      ...working,
      webSocket: scene.realtime.webSocket,
      locks: {
        hold: <T>(name: string, ms: number, fn: () => Promise<T>): Promise<T> =>
          broken ? Promise.reject(new Error('no locks today')) : working.locks.hold(name, ms, fn),
      },
    };
    const client = scene.client({ platform });
    const given = scene.input();
    await expect(client.sdk.connect(given)).rejects.toThrow('no locks today');
    expect(scene.device.timers.size).toBe(0);
    expect(client.sdk.connectivity).toBeNull();
    expect(client.sdk.toJSON().userID).toBeNull();
    broken = false;
    expect((await client.sdk.connect(given)).id).toBe('ann');
    expect(sdk.user).toBeNull();
  });

  it('out of onRefreshError signs in anew', async () => {
    const given = scene.input();
    const again: string[] = [];
    const { sdk, ends } = scene.client({
      onRefreshError: () => {
        again.push('connect');
        void sdk.connect(scene.input());
      },
    });
    await sdk.connect(given);
    const session = scene.server.sessions.get(given.sid);
    if (session) session.revoked = true;
    await scene.device.advance(56 * 60_000);
    expect(again).toEqual(['connect']);
    expect(ends.items).toEqual(['session_revoked']);
    expect(sdk.connectivity).toBe('connected');
    expect(sdk.user?.id).toBe('ann');
    await scene.device.advance(3 * HOUR);
    expect(sdk.connectivity).toBe('connected');
    expect(again).toHaveLength(1);
  });

  it('out of sessionEnded signs in anew, too', async () => {
    const given = scene.input();
    const { sdk } = scene.client();
    sdk.on('sessionEnded', () => void sdk.connect(scene.input()));
    await sdk.connect(given);
    const session = scene.server.sessions.get(given.sid);
    if (session) session.revoked = true;
    await scene.device.advance(2 * HOUR);
    expect(sdk.connectivity).toBe('connected');
  });

  it('that waits for a storage that hangs resolves all the same', async () => {
    const storage = {
      get: () => new Promise(() => {}),
      set: () => new Promise<void>(() => {}),
      remove: () => {},
    };
    const { sdk } = scene.client({ storage });
    const connecting = sdk.connect(scene.input());
    await scene.device.advance(30_000);
    expect((await connecting).id).toBe('ann');
  });
});

describe('an app that alone keeps the pair', () => {
  it('is told again of a pair that it could not take note of, though it takes note of an older one meanwhile', async () => {
    const calls: { readonly token: string; readonly done: () => void; readonly failed: () => void }[] = [];
    const { sdk } = scene.client({
      storage: { ...memoryStorage(), volatile: true },
      onTokenRefresh: ({ accessToken }) =>
        new Promise<void>((resolve, reject) => {
          calls.push({ token: accessToken, done: resolve, failed: () => reject(new Error('disk full')) });
          // The second call of each pair is a success.
          if (calls.length % 2 === 0) resolve();
        }),
    });
    const called = async (times: number): Promise<void> => {
      while (calls.length < times) await scene.device.advance(1_000);
    };
    await sdk.connect(scene.input());
    // The first call takes its time, and the pair is told again.
    await called(3);
    calls[0]?.done();
    await scene.device.settle();
    calls[2]?.failed();
    await called(4);
    const [first, second] = [calls[0]?.token, calls[2]?.token];
    expect(second).not.toBe(first);
    expect(calls.map(({ token }) => token)).toEqual([first, first, second, second]);
  });
});
