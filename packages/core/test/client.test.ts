/** `ChatSDK`: connect, its input, users, ends, secrets. R35, R46–R54, C6, C41–C46, C54, C56. */
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ChatSDK,
  type ChatSDKOptions,
  type ConnectInput,
  DisconnectedError,
  InvalidInputError,
  NotConnectedError,
  RefreshError,
  UserMismatchError,
} from '../src/index.ts';
import { Happenings } from './support/events.ts';
import { problem, Tab } from './support/fake-platform.ts';
import { jwt } from './support/fake-server.ts';
import { accepted, FakeRealtime } from './support/fake-socket.ts';
import { API, HOUR, Scene } from './support/scene.ts';

let scene: Scene;
let tab: Tab;
let realtime: FakeRealtime;
const made: ChatSDK[] = [];

beforeEach(() => {
  scene = new Scene();
  tab = new Tab(scene.device);
  tab.fetch = scene.server.fetch;
  realtime = new FakeRealtime();
});
afterEach(async () => {
  for (const sdk of made.splice(0)) await sdk.disconnect();
});

function client(options: Partial<ChatSDKOptions> = {}) {
  const states = new Happenings<string>();
  const ends = new Happenings<string>();
  const errors = new Happenings<RefreshError>();
  const lines: string[] = [];
  const logger = {
    debug: (line: string) => lines.push(line),
    warn: (line: string) => lines.push(line),
    error: (line: string) => lines.push(line),
  };
  const platform = { ...tab.platform, webSocket: realtime.webSocket };
  const sdk = new ChatSDK({ apiUrl: API, onRefreshError: errors.add, logger, platform, ...options });
  sdk.on('connectivity', ({ state }) => states.add(state));
  sdk.on('sessionEnded', ({ reason }) => ends.add(reason));
  made.push(sdk);
  return { sdk, states, ends, errors, lines };
}

function input(userID = 'ann'): ConnectInput & { sid: string; userID: string } {
  const { accessToken, refreshToken, expiresAt, sid } = scene.server.mint(userID, {
    custom: { role: 'admin' },
  });
  return { userID, token: accessToken, refreshToken, expiresAt, sid };
}

/** A socket that nobody answers. */
class Silent {
  close(): void {}
}

describe('connect', () => {
  it('resolves with the user when the server has let the socket in', async () => {
    const { sdk, states } = client();
    const given = input();
    const user = await sdk.connect(given);
    expect(user).toEqual({ id: 'ann', name: 'Ann', avatar: null, custom: { role: 'admin' } });
    expect(sdk.getCurrentUser().custom.role).toBe('admin');
    expect(sdk.user).toEqual(user);
    expect(states.items).toEqual(['connecting', 'connected']);
    expect(realtime.tokens).toEqual([given.token]);
    expect(scene.server.seen).toEqual([]);
  });

  it('resolves after ten seconds without a connection, and goes on trying', async () => {
    const { sdk } = client();
    realtime.onConnect = () => ({ error: { code: 100, message: 'internal' } });
    const connecting = sdk.connect(input());
    await scene.device.advance(10_001);
    expect((await connecting).id).toBe('ann');
    expect(sdk.connectivity).not.toBe('connected');
  });

  it('resolves two seconds after a connection failed, and goes on trying', async () => {
    const { sdk, states } = client();
    realtime.onConnect = () => 1006;
    let resolved = false;
    const connecting = sdk.connect(input()).then((user) => {
      resolved = true;
      return user;
    });
    await states.until((state) => state === 'offline');
    await scene.device.advance(1_900);
    expect(resolved).toBe(false);
    await scene.device.advance(200);
    expect((await connecting).name).toBe('Ann');
    realtime.onConnect = () => accepted();
    while (sdk.connectivity !== 'connected') await scene.device.advance(500);
  });

  it('resolves within ten seconds, however late a connection fails', async () => {
    const { sdk, states } = client();
    const given = input();
    scene.device.sleep(24 * HOUR);
    tab.fetch = () =>
      new Promise((_resolve, reject) => {
        tab.platform.timers.after(9_500, () => reject(new TypeError('no route')));
      });
    let resolved = false;
    const connecting = sdk.connect(given).then(() => {
      resolved = true;
    });
    await scene.device.advance(9_600);
    expect(states.items).toEqual(['connecting', 'offline']);
    expect(resolved).toBe(false);
    await scene.device.advance(400);
    expect(resolved).toBe(true);
    await connecting;
  });

  it('resolves when the device notices that there is no network, though its sockets do not', async () => {
    const { sdk, states } = client({ platform: { ...tab.platform, webSocket: Silent } });
    const connecting = sdk.connect(input());
    await scene.device.settle();
    expect(states.items).toEqual(['connecting']);
    scene.device.goOnline(false);
    expect((await connecting).name).toBe('Ann');
    expect(states.items).toEqual(['connecting', 'offline']);
  });

  it('is not offline while it connects with a token that lives, though that could not be replaced', async () => {
    const { sdk, states } = client({ platform: { ...tab.platform, webSocket: Silent } });
    const given = input();
    scene.device.sleep(HOUR - 5_000);
    let asked = 0;
    tab.fetch = () => {
      asked += 1;
      return Promise.reject(new TypeError('no route'));
    };
    void sdk.connect(given);
    while (asked === 0) await scene.device.advance(50);
    expect(sdk.debugAuth().auth).toMatchObject({ state: 'stale', failures: 1 });
    expect(states.items).toEqual(['connecting']);
  });

  it('is offline while a token that has expired cannot be replaced, whatever the device takes for its network', async () => {
    const { sdk, states } = client();
    const given = input();
    scene.device.sleep(24 * HOUR);
    let asked = 0;
    tab.fetch = () => {
      asked += 1;
      return Promise.reject(new TypeError('no route'));
    };
    const connecting = sdk.connect(given);
    while (asked === 0) await scene.device.advance(50);
    expect(states.items).toEqual(['connecting', 'offline']);
    await scene.device.advance(2_000);
    expect((await connecting).name).toBe('Ann');
    expect(states.items).toEqual(['connecting', 'offline']);
    tab.fetch = scene.server.fetch;
    while (sdk.connectivity !== 'connected') await scene.device.advance(1_000);
    expect(states.items).toEqual(['connecting', 'offline', 'connected']);
  });

  it('resolves at once without a network, with the user of the token', async () => {
    scene.device.goOnline(false);
    const { sdk } = client();
    realtime.onConnect = () => 1006;
    expect((await sdk.connect(input())).name).toBe('Ann');
    expect(sdk.connectivity).toBe('offline');
  });

  it('refreshes first where the stored pair has ended', async () => {
    const { sdk } = client();
    const given = input();
    scene.device.sleep(24 * HOUR);
    const connecting = sdk.connect(given);
    await scene.device.advance(2_000);
    await connecting;
    expect(scene.server.refreshes).toHaveLength(1);
    expect(realtime.tokens).toHaveLength(1);
    expect(realtime.tokens[0]).not.toBe(given.token);
  });

  it('rejects where the server says that the session is over, and tells it once', async () => {
    const { sdk, errors, ends } = client();
    const given = input();
    scene.device.sleep(24 * HOUR);
    scene.server.intercept = () => problem(401, 'refresh_token_expired');
    const connecting = sdk.connect(given);
    const outcome = expect(connecting).rejects.toBeInstanceOf(RefreshError);
    await scene.device.advance(2_000);
    await outcome;
    expect(errors.items).toHaveLength(1);
    expect(ends.items).toEqual(['refresh_token_expired']);
    expect(realtime.tokens).toEqual([]);
  });

  it('again for the same user is the same session, and takes newer tokens up', async () => {
    const { sdk } = client();
    const given = input();
    const first = sdk.connect(given);
    expect(sdk.connect(given)).toBe(first);
    await first;
    expect(realtime.sockets.size).toBe(1);
    expect(realtime.tokens).toHaveLength(1);
  });

  it('for another user leaves the first behind', async () => {
    const { sdk } = client();
    const first = sdk.connect(input('ann'));
    const second = sdk.connect(input('bob'));
    await expect(first).rejects.toBeInstanceOf(DisconnectedError);
    expect((await second).id).toBe('bob');
    expect(sdk.user?.id).toBe('bob');
    expect(realtime.sockets.size).toBe(1);
  });

  it('of a double mount is harmless', async () => {
    const given = input();
    const first = client();
    const connecting = first.sdk.connect(given);
    connecting.catch(() => {});
    await first.sdk.disconnect();
    const second = client();
    await second.sdk.connect(given);
    expect(realtime.sockets.size).toBe(1);
    expect(second.sdk.connectivity).toBe('connected');
    expect(first.ends.items).toEqual([]);
  });
});

describe('the input of connect', () => {
  const bad: [string, Record<string, unknown>, string][] = [
    ['an error that the backend forwarded', { token: undefined }, 'Your backend may have forwarded an error'],
    ['an empty token', { token: '' }, 'an empty string'],
    ['an object', { token: {} }, 'an object'],
    ['a token that is no JWT', { token: 'abc' }, 'not an access token'],
    ['a number as refresh token', { refreshToken: 7 }, 'number'],
    ['no user', { userID: undefined }, 'your id of the user'],
    ['an API key as token', { token: 'csk_live_x' }, 'API key'],
    ['an API key as refresh token', { refreshToken: 'csk_live_x' }, 'API key'],
    ['an API key as user', { userID: 'csk_live_x' }, 'API key'],
  ];

  it.each(bad)('%s is refused before anything happens', async (_name, change, words) => {
    const { sdk, states } = client();
    const outcome = sdk.connect({ ...input(), ...change } as ConnectInput);
    await expect(outcome).rejects.toBeInstanceOf(InvalidInputError);
    await expect(outcome).rejects.toThrow(words);
    expect(states.items).toEqual([]);
    expect(scene.server.seen).toEqual([]);
    expect(realtime.sockets.size).toBe(0);
    expect(scene.device.timers.size).toBe(0);
  });

  it('refuses a token of another user, without a word to anybody', async () => {
    const { sdk } = client();
    await expect(sdk.connect({ ...input('ann'), userID: 'bob' })).rejects.toBeInstanceOf(UserMismatchError);
    expect(scene.server.seen).toEqual([]);
    expect(realtime.sockets.size).toBe(0);
  });

  it.each([
    ['seconds', (ms: number) => ms / 1_000],
    ['an ISO text', (ms: number) => new Date(ms).toISOString()],
    ['a number as text', (ms: number) => String(ms)],
    ['NaN', () => Number.NaN],
    ['nothing', () => undefined],
    ['a year too far', (ms: number) => ms + 400 * 24 * HOUR],
  ])('understands expiresAt as %s', async (_name, change) => {
    const { sdk } = client();
    const given = input();
    await sdk.connect({ ...given, expiresAt: change(Number(given.expiresAt)) });
    await scene.device.advance(55 * 60_000 - 1_000);
    expect(scene.server.refreshes).toHaveLength(0);
    await scene.device.advance(32_000);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('takes userId, and a number for it', async () => {
    const { sdk } = client();
    const { token, refreshToken } = input('42');
    expect((await sdk.connect({ userId: 42, token, refreshToken })).id).toBe('42');
  });
});

describe('construction', () => {
  it('starts nothing', () => {
    client();
    expect(scene.device.timers.size).toBe(0);
    expect(scene.device.networkListeners.size).toBe(0);
  });

  it.each([
    [{ apiUrl: 'localhost:5500' }, 'apiUrl'],
    [{ apiUrl: '' }, 'apiUrl'],
    [{ apiUrl: 'https://user:secret@host' }, 'apiUrl'],
    [{ apiUrl: 'http://:5500' }, 'apiUrl'],
    [{ wsUrl: 'http://localhost' }, 'wsUrl'],
    [{ refreshBufferMs: -1 }, 'refreshBufferMs'],
  ])('refuses %o', (options, words) => {
    expect(() => client(options)).toThrow(words);
  });

  it.each([
    [
      'http://localhost:5500',
      'http://localhost:5500/auth/refresh',
      'ws://localhost:5500/connection/websocket',
    ],
    [
      'http://localhost:5500///',
      'http://localhost:5500/auth/refresh',
      'ws://localhost:5500/connection/websocket',
    ],
    ['https://host/base/', 'https://host/base/auth/refresh', 'wss://host/base/connection/websocket'],
    ['http://[::1]:5500', 'http://[::1]:5500/auth/refresh', 'ws://[::1]:5500/connection/websocket'],
  ])('joins addresses with %s', async (apiUrl, refresh, wsUrl) => {
    const { sdk } = client({ apiUrl });
    expect(sdk.toJSON().wsUrl).toBe(wsUrl);
    const urls: string[] = [];
    tab.fetch = (url, init) => {
      urls.push(url);
      return scene.server.fetch(url, init);
    };
    const given = input();
    scene.device.sleep(2 * HOUR);
    const connecting = sdk.connect(given);
    await scene.device.advance(2_000);
    await connecting;
    expect(urls).toEqual([refresh]);
  });

  it('warns of addresses that are open to everybody on the way', () => {
    expect(client({ apiUrl: 'http://chat.example.com' }).lines.join()).toContain('not encrypted');
    expect(client({ apiUrl: 'http://192.168.1.4:5500' }).lines).toEqual([]);
    expect(client({ apiUrl: 'https://chat.example.com' }).lines).toEqual([]);
  });

  it('without a WebSocket says so at connect', async () => {
    const { sdk } = client({ platform: tab.platform });
    await expect(sdk.connect(input())).rejects.toThrow('There is no WebSocket here');
  });
});

describe('the socket', () => {
  it('gets another token when the server says that the one it has is over', async () => {
    // Without other tabs to ask, all of this happens without time that the test would have to move.
    tab.channels = false;
    const { sdk, states } = client();
    const given = input();
    scene.device.sleep(60_000);
    realtime.onConnect = (token) =>
      token === given.token ? { error: { code: 109, message: 'token expired' } } : accepted();
    await sdk.connect(given);
    expect(states.items).toEqual(['connecting', 'offline', 'connected']);
    expect(realtime.tokens).toHaveLength(2);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it.each([
    [3500, 'invalid token'],
    [3503, 'token_revoked'],
  ])('a close with %d is answered by one refresh, and by a connection', async (code, reason) => {
    const { sdk, states, ends } = client();
    await sdk.connect(input());
    scene.device.sleep(60_000);
    realtime.closeAll(code, reason);
    await states.until((state) => state === 'offline');
    while (sdk.connectivity !== 'connected') await scene.device.advance(100);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(ends.items).toEqual([]);
    expect(new Set(realtime.tokens).size).toBe(2);
  });

  it('a close with 3503 ends the session where the refresh says so, once', async () => {
    const { sdk, states, ends, errors } = client();
    const given = input();
    await sdk.connect(given);
    const session = scene.server.sessions.get(given.sid);
    if (session) session.revoked = true;
    scene.device.sleep(60_000);
    realtime.closeAll(3503, 'session_revoked');
    await states.until((state) => state === 'offline');
    await scene.device.advance(5_000);
    expect(ends.items).toEqual(['session_revoked']);
    expect(errors.items).toHaveLength(1);
    expect(sdk.connectivity).toBeNull();
    expect(scene.device.timers.size).toBe(0);
    expect(realtime.tokens).toHaveLength(1);
  });

  it('closed by an operator goes on with its token, also where nothing can replace that', async () => {
    const { sdk, states, ends } = client();
    const { refreshToken: _none, ...given } = input();
    await sdk.connect(given);
    realtime.closeAll(3503, 'force disconnect');
    await states.until((state) => state === 'offline');
    while (sdk.connectivity !== 'connected') await scene.device.advance(500);
    expect(ends.items).toEqual([]);
    expect(realtime.tokens).toEqual([given.token, given.token]);
    realtime.closeAll(3503, 'session_revoked');
    while (ends.items.length === 0) await scene.device.advance(500);
    expect(ends.items).toEqual(['refresh_token_missing']);
  });

  it('closed with a code that is final for others is tried again, slower and slower', async () => {
    const { sdk, states, ends } = client();
    await sdk.connect(input());
    realtime.closeAll(3504, 'connection limit');
    await states.until((state) => state === 'offline');
    expect(realtime.sockets.size).toBe(0);
    while (sdk.connectivity !== 'connected') await scene.device.advance(500);
    expect(ends.items).toEqual([]);
    expect(scene.server.refreshes).toEqual([]);
  });

  it('is refreshed in band with a token that it has not had', async () => {
    const { sdk } = client();
    scene.server.ttl = 2_000;
    const refreshed = new Happenings<string>();
    realtime.onConnect = () => accepted(1);
    realtime.onRefresh = (token) => {
      refreshed.add(token);
      return { refresh: { client: 'c', expires: true, ttl: 3_600 } };
    };
    await sdk.connect(input());
    while (refreshed.items.length === 0) await scene.device.advance(100);
    expect(refreshed.items[0]).not.toBe(realtime.tokens[0]);
    expect(sdk.connectivity).toBe('connected');
    expect(realtime.sockets.size).toBe(1);
  });

  it('goes on with a token that nothing can replace, until the server refuses it', async () => {
    const { sdk, ends } = client();
    const { refreshToken: _none, ...given } = input();
    const refreshed = new Happenings<string>();
    realtime.onConnect = () => accepted(1);
    realtime.onRefresh = (token) => {
      refreshed.add(token);
      return { refresh: { client: 'c', expires: true, ttl: 3_600 } };
    };
    await sdk.connect(given);
    while (refreshed.items.length === 0) await scene.device.advance(100);
    expect(refreshed.items).toEqual([given.token]);
    expect(sdk.connectivity).toBe('connected');
    expect(ends.items).toEqual([]);
    realtime.onConnect = () => ({ error: { code: 109, message: 'token expired' } });
    realtime.closeAll(3005);
    await ends.count(1);
    expect(ends.items).toEqual(['refresh_token_missing']);
  });
});

describe('disconnect', () => {
  it('acts at once, though nobody waits for it', async () => {
    const { sdk } = client();
    await sdk.connect(input());
    void sdk.disconnect();
    expect(sdk.user).toBeNull();
    expect(sdk.connectivity).toBeNull();
    expect(() => sdk.getCurrentUser()).toThrow(NotConnectedError);
    expect(scene.device.timers.size).toBe(0);
    expect(realtime.sockets.size).toBe(0);
  });

  it('before the connection rejects the connect, and leaves nothing unhandled', async () => {
    const { sdk } = client();
    const connecting = sdk.connect(input());
    void sdk.disconnect();
    await expect(connecting).rejects.toBeInstanceOf(DisconnectedError);
    await scene.device.advance(HOUR);
    expect(scene.server.seen).toEqual([]);
    expect(realtime.tokens).toEqual([]);
  });

  it('a thousand times leaves no timer, listener or socket', async () => {
    const { sdk } = client();
    const given = input();
    for (let turn = 0; turn < 1_000; turn += 1) {
      const connecting = sdk.connect(given);
      connecting.catch(() => {});
      if (turn % 10 === 0) await connecting;
      void sdk.disconnect();
    }
    await scene.device.advance(5_000);
    expect(scene.device.timers.size).toBe(0);
    expect(scene.device.networkListeners.size).toBe(0);
    expect(realtime.sockets.size).toBe(0);
  });
});

describe('secrets', () => {
  it('are in nothing that is printed, thrown or logged', async () => {
    const { sdk, errors, lines } = client();
    const given = input();
    await sdk.connect(given);
    scene.server.intercept = () => {
      throw new TypeError(`could not send ${given.refreshToken} with csk_live_abc`);
    };
    await scene.device.advance(2 * HOUR);
    const texts = [
      JSON.stringify(sdk),
      inspect(sdk, { depth: 20, showHidden: true }),
      String(sdk),
      lines.join('\n'),
    ];
    for (const error of errors.items) texts.push(inspect(error, { depth: 20 }), JSON.stringify(error));
    expect(errors.items).toHaveLength(1);
    for (const text of texts) expect(text).not.toMatch(/eyJ|csk_/);
  });

  it('do not stand in the messages of what is refused', async () => {
    const { sdk } = client();
    const token = jwt({ alg: 'none' }, { sub: 'ann' });
    for (const change of [{ token }, { token: `${token}.x` }, { token: 'csk_live_secret' }]) {
      const error: unknown = await sdk
        .connect({ ...input('bob'), ...change })
        .catch((caught: unknown) => caught);
      expect(inspect(error)).not.toMatch(/eyJ|csk_live/);
    }
  });
});

describe('a session that the backend refreshes', () => {
  it('goes on without a refresh token in the browser', async () => {
    let calls = 0;
    const { sdk, ends } = client({
      refreshTokens: async () => {
        calls += 1;
        const { accessToken, expiresAt } = scene.server.mint();
        return { accessToken, expiresAt };
      },
    });
    const { userID, token, expiresAt } = input();
    await sdk.connect({ userID, token, expiresAt });
    await scene.device.advance(3 * HOUR);
    expect(calls).toBe(3);
    expect(ends.items).toEqual([]);
    expect(scene.server.seen).toEqual([]);
  });

  it('is not ended by a backend that fails', async () => {
    const { sdk, ends, errors } = client({ refreshTokens: () => Promise.reject(new Error('502')) });
    const { userID, token, expiresAt } = input();
    await sdk.connect({ userID, token, expiresAt });
    await scene.device.advance(3 * HOUR);
    expect(ends.items).toEqual([]);
    expect(errors.items).toHaveLength(1);
    expect(errors.items[0]?.message).toMatch(/^Network/);
  });
});
