/** Calls that overlap, and calls out of listeners: who comes last wins, and who left hears nothing. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ConnectInput, StoredTokens, Tokens } from '../src/index.ts';
import { type Client, ClientScene } from './support/client-scene.ts';
import { sharedStorage } from './support/fake-platform.ts';
import { FakeServer } from './support/fake-server.ts';
import { HOUR, MINUTE } from './support/scene.ts';

let scene: ClientScene;
beforeEach(() => {
  scene = new ClientScene();
  scene.tab.shared = new Map();
});
afterEach(() => scene.end());

const revoked = (sid: string): boolean | undefined => scene.server.sessions.get(sid)?.revoked;
const revoke = (sid: string): void => {
  const session = scene.server.sessions.get(sid);
  if (session) session.revoked = true;
};

it('a logout in a page just loaded ends what is stored, and not what connects after it', async () => {
  const old = scene.input();
  const before = scene.client();
  await before.sdk.connect(old);
  await before.sdk.disconnect();
  const [page, other] = [scene.client(), scene.client()];
  const done = page.sdk.logout();
  const [fresh, another] = [scene.input(), scene.input()];
  const connecting = Promise.all([page.sdk.connect(fresh), other.sdk.connect(another)]);
  await scene.device.advance(MINUTE);
  await Promise.all([done, connecting]);
  expect([revoked(old.sid), revoked(fresh.sid), revoked(another.sid)]).toEqual([true, false, false]);
  expect([page.sdk.connectivity, other.sdk.connectivity]).toEqual(['connected', 'connected']);
  expect([...page.ends.items, ...other.ends.items]).toEqual([]);
  expect(scene.tab.shared?.size).toBe(1);
});

it('a logout after such a connect ends that, too', async () => {
  const before = scene.client();
  await before.sdk.connect(scene.input());
  await before.sdk.disconnect();
  const { sdk } = scene.client();
  const fresh = scene.input();
  void sdk.logout();
  const connecting = sdk.connect(fresh);
  const done = sdk.logout();
  await expect(connecting).rejects.toThrow('has disconnected');
  await scene.device.advance(MINUTE);
  await done;
  expect(revoked(fresh.sid)).toBe(true);
  expect(scene.stored).not.toContain('"accessToken"');
  expect(sdk.user).toBeNull();
});

it('who signs in anew while a logout is under way can be logged out by the next page', async () => {
  const { sdk } = scene.client();
  await sdk.connect(scene.input());
  const done = sdk.logout();
  const fresh = scene.input();
  await sdk.connect(fresh);
  await scene.device.advance(MINUTE);
  await done;
  await sdk.disconnect();
  const next = scene.client().sdk.logout();
  await scene.device.advance(MINUTE);
  await next;
  expect(revoked(fresh.sid)).toBe(true);
});

it('a logout while a session begins does not end what another client begins after it', async () => {
  for (const locks of [true, false]) {
    scene.tab.locks = locks;
    const [one, other] = [scene.client(), scene.client()];
    one.sdk.connect(scene.input()).catch(() => {});
    const done = one.sdk.logout();
    const fresh = scene.input();
    const connecting = other.sdk.connect(fresh);
    await scene.device.advance(MINUTE);
    await Promise.all([done, connecting]);
    expect(other.ends.items).toEqual([]);
    expect(revoked(fresh.sid)).toBe(false);
    await scene.end();
  }
});

it('logout takes the ids that connect takes', async () => {
  const { sdk } = scene.client();
  const { accessToken, refreshToken, sid } = scene.server.mint('42');
  await sdk.connect({ userID: 42, token: accessToken, refreshToken });
  await expect(sdk.logout({ userID: '' })).rejects.toMatchObject({ code: 'invalid_input' });
  await sdk.logout({ userId: 42 });
  expect(sdk.user).toBeNull();
  expect(revoked(sid)).toBe(true);
});

it.each(['disconnect', 'logout'] as const)('%s out of the first listener leaves nothing', async (way) => {
  const { sdk } = scene.client();
  const given = scene.input();
  sdk.on('connectivity', () => void sdk[way]());
  await expect(sdk.connect(given)).rejects.toThrow('has disconnected');
  await scene.device.advance(2 * HOUR);
  expect(scene.server.refreshes).toHaveLength(0);
  expect(scene.realtime.sockets.size + scene.device.timers.size + (scene.tab.shared?.size ?? 0)).toBe(0);
  expect(revoked(given.sid)).toBe(way === 'logout');
});

it('who connects as somebody else out of another client’s end stays that', async () => {
  const given = scene.input();
  const [one, other] = [scene.client(), scene.client()];
  await one.sdk.connect(given);
  await other.sdk.connect(given);
  one.sdk.on('sessionEnded', () => void other.sdk.connect(scene.input('bob')));
  revoke(given.sid);
  await scene.device.advance(HOUR);
  expect(other.sdk.user?.id).toBe('bob');
  expect(other.sdk.connectivity).toBe('connected');
  expect([other.ends.items, other.errors.items]).toEqual([[], []]);
  await other.sdk.disconnect();
  expect(scene.realtime.sockets.size).toBe(0);
});

it('who logs out and is connected anew by another client’s listener stays connected', async () => {
  const given = scene.input();
  const [one, other] = [scene.client(), scene.client()];
  await one.sdk.connect(given);
  await other.sdk.connect(given);
  other.sdk.on('sessionEnded', () => void one.sdk.connect(scene.input('bob')));
  const done = one.sdk.logout();
  await scene.device.advance(MINUTE);
  await done;
  expect(one.sdk.user?.id).toBe('bob');
});

it('who left in the course of an event is not told of it', async () => {
  const given = scene.input();
  const [one, other] = [scene.client(), scene.client()];
  await one.sdk.connect(given);
  await other.sdk.connect(given);
  one.sdk.on('connectivity', () => void other.sdk.disconnect());
  scene.realtime.closeAll(3000);
  await scene.device.advance(100);
  expect(other.sdk.connectivity).toBeNull();
  expect(other.states.items).toEqual(['connecting', 'connected']);
});

it('there is no user once the session has ended', async () => {
  const given = scene.input();
  const { sdk, ends } = scene.client();
  await sdk.connect(given);
  revoke(given.sid);
  await scene.device.advance(HOUR);
  expect(ends.items).toEqual(['session_revoked']);
  expect(sdk.user).toBeNull();
  expect(() => sdk.getCurrentUser()).toThrow('no current user');
});

it('who comes while the others are told of a pair is told when it is used, and of no older one later', async () => {
  const given = scene.input();
  let release = (): void => {};
  const slow = scene.client({
    onTokenRefresh: () =>
      new Promise<void>((resolve) => {
        release = resolve;
      }),
  });
  await slow.sdk.connect(given);
  while (scene.server.refreshes.length === 0) await scene.device.advance(1_000);
  await scene.device.advance(1_000);
  const late = scene.client();
  await late.sdk.connect(given);
  expect(late.told).toEqual([]);
  release();
  await scene.device.settle();
  const stored = [...scene.device.storage.values()].map((one) => one.get() as StoredTokens);
  const newest = stored.find(({ accessToken }) => accessToken !== undefined)?.accessToken;
  expect(late.told.map(({ accessToken }) => accessToken)).toEqual([newest]);
});

it('a client that throws does not let the pair be used while another still saves it', async () => {
  const given = scene.input();
  let [asked, saved] = [false, false];
  const thrower = scene.client({
    onTokenRefresh: () => {
      throw new Error('mine');
    },
  });
  const saver = scene.client({
    onTokenRefresh: () => {
      asked = true;
      return new Promise<void>((resolve) => {
        scene.tab.platform.timers.after(2_000, () => {
          saved = true;
          resolve();
        });
      });
    },
  });
  await thrower.sdk.connect(given);
  await saver.sdk.connect(given);
  const used = (): boolean => !saver.sdk.debugAuth().auth?.refreshing;
  while (!asked) await scene.device.advance(500);
  expect([used(), saved]).toEqual([false, false]);
  await scene.device.advance(2_000);
  expect([used(), saved]).toEqual([true, true]);
});

it('a client whose storage does not count is told so, once', async () => {
  const given = scene.input();
  const one = scene.client();
  const other = scene.client({ storage: sharedStorage() });
  await one.sdk.connect(given);
  await other.sdk.connect(given);
  await other.sdk.disconnect();
  await other.sdk.connect(given);
  const warnings = [...one.lines, ...other.lines].filter((line) =>
    line.includes('Clients of one user share'),
  );
  expect(warnings).toHaveLength(1);
});

it.each([
  ['connects again', 'ann', (client: Client, tokens: Tokens) => client.sdk.connect(inputOf(tokens))],
  ['connects as somebody else', 'bob', (client: Client) => client.sdk.connect(scene.input('bob'))],
  ['logs out', null, (client: Client) => client.sdk.logout()],
  ['disconnects', null, (client: Client) => client.sdk.disconnect()],
] as [string, string | null, (client: Client, tokens: Tokens) => Promise<unknown>][])(
  'an app that %s while it is told of a pair, and waits for it',
  async (_name, user, act) => {
    let done: Promise<unknown> | null = null;
    const client = scene.client({
      onTokenRefresh: async (tokens) => {
        done ??= act(client, tokens);
        await done;
      },
    });
    await client.sdk.connect(scene.input());
    await scene.device.advance(2 * HOUR);
    expect(done).not.toBeNull();
    await done;
    expect(client.ends.items).toEqual([]);
    expect(client.errors.items).toEqual([]);
    expect(client.sdk.user?.id ?? null).toBe(user);
    expect(scene.realtime.sockets.size).toBe(user === null ? 0 : 1);
    await scene.end();
    await scene.device.settle();
    expect([scene.device.timers.size, scene.device.networkListeners.size]).toEqual([0, 0]);
  },
);

it('an app that signs in anew as soon as it hears of an end, twice over, has one session and one socket', async () => {
  const client = scene.client({ onRefreshError: () => again() });
  const again = (): void => {
    client.sdk.connect(scene.input()).catch(() => {});
  };
  client.sdk.on('sessionEnded', again);
  const input = scene.input();
  await client.sdk.connect(input);
  revoke(input.sid);
  await scene.device.advance(3 * HOUR);
  expect(client.sdk.connectivity).toBe('connected');
  expect(scene.realtime.sockets.size).toBe(1);
  await scene.end();
  await scene.device.settle();
  expect(scene.device.timers.size).toBe(0);
});

it('clients of two deployments on one origin know nothing of each other', async () => {
  const elsewhere = new FakeServer(scene.device);
  elsewhere.mint();
  const tab = scene.newTab();
  tab.fetch = elsewhere.fetch;
  const here = scene.client();
  const there = scene.client({ apiUrl: 'http://localhost:6600' }, tab);
  await here.sdk.connect(scene.input());
  await scene.device.advance(MINUTE);
  await there.sdk.connect(inputOf(elsewhere.mint()));
  await scene.device.advance(5 * HOUR);
  expect([here.ends.items, there.ends.items]).toEqual([[], []]);
  expect([here.sdk.connectivity, there.sdk.connectivity]).toEqual(['connected', 'connected']);
  const done = there.sdk.logout();
  await scene.device.advance(MINUTE);
  await done;
  expect(here.sdk.user?.id).toBe('ann');
});

function inputOf({ accessToken: token, refreshToken, expiresAt }: Tokens): ConnectInput {
  return { userID: 'ann', token, refreshToken, expiresAt };
}
