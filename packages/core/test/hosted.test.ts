/** Sessions whose refresh token the host's backend keeps in a cookie. R32, R33, R72, R73, C51. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type FetchTokensOptions,
  fetchTokens,
  type HostRefresh,
  HostSessionEndedError,
  type Tokens,
} from '../src/index.ts';
import { ClientScene } from './support/client-scene.ts';
import { problem } from './support/fake-platform.ts';
import { HOUR, MINUTE } from './support/scene.ts';

let scene: ClientScene;
beforeEach(() => {
  scene = new ClientScene();
});
afterEach(() => scene.end());

/** The host's backend: it has the refresh token in a cookie, and hands out access tokens. */
class Backend {
  calls = 0;
  #cookie = '';

  signIn(): { userID: string; token: string; expiresAt: number; sid: string } {
    const { accessToken, refreshToken, expiresAt, sid } = scene.server.mint();
    this.#cookie = refreshToken;
    return { userID: 'ann', token: accessToken, expiresAt, sid };
  }

  readonly refreshTokens = async ({ sentAt }: Pick<HostRefresh, 'sentAt'>): Promise<Partial<Tokens>> => {
    this.calls += 1;
    const body = { refreshToken: this.#cookie, sentAt };
    const answer = scene.server.answer({ path: '/auth/refresh', body, authorization: '', at: 0 });
    const passedOn = JSON.parse(await answer.text());
    if (answer.status !== 200) return passedOn;
    this.#cookie = passedOn.refreshToken;
    const { accessToken, expiresAt } = passedOn;
    return { accessToken, expiresAt };
  };
}

it('ten tabs go on for a day, and ask once a cycle', async () => {
  const backend = new Backend();
  const { userID, token, expiresAt } = backend.signIn();
  const clients = Array.from({ length: 10 }, () => scene.client(backend, scene.newTab()));
  for (const { sdk } of clients) await sdk.connect({ userID, token, expiresAt });
  await scene.device.advance(24 * HOUR);
  for (const { sdk, ends, errors } of clients) {
    expect(ends.items).toEqual([]);
    expect(errors.items).toEqual([]);
    expect(sdk.connectivity).toBe('connected');
  }
  expect(backend.calls).toBeLessThanOrEqual(24 * (60 / 55) + 1);
  expect(scene.server.seen).toEqual([]);
});

it('keeps no token in the reach of scripts', async () => {
  const backend = new Backend();
  const { sdk } = scene.client(backend);
  await sdk.connect(backend.signIn());
  await scene.device.advance(2 * HOUR);
  expect(scene.stored).not.toContain('eyJ');
  expect(sdk.debugAuth().auth).toMatchObject({ refreshToken: 'backend', storage: { kind: 'memory' } });
});

it('a logout in one tab ends the others, and has the server revoke the session', async () => {
  const backend = new Backend();
  const given = backend.signIn();
  const [one, other] = [scene.client(backend, scene.newTab()), scene.client(backend, scene.newTab())];
  await one.sdk.connect(given);
  await other.sdk.connect(given);
  const done = one.sdk.logout();
  await scene.device.advance(1_000);
  await done;
  expect(other.ends.items).toEqual(['logged_out']);
  expect(scene.server.sessions.get(given.sid)?.revoked).toBe(true);
});

describe('ends', () => {
  it('when the backend says that nobody is signed in there', async () => {
    const backend = new Backend();
    const refreshTokens = () => Promise.reject(new HostSessionEndedError());
    const { sdk, ends, errors } = scene.client({ refreshTokens });
    await sdk.connect(backend.signIn());
    await scene.device.advance(HOUR);
    expect(ends.items).toEqual(['host_session_ended']);
    expect(errors.items).toHaveLength(1);
    expect(errors.items[0]).toMatchObject({ kind: 'fatal', code: 'host_session_ended', retryable: false });
    expect(errors.items[0]?.message).not.toContain('Network');
  });

  it('when another copy of the package says so', async () => {
    const backend = new Backend();
    const refreshTokens = () => Promise.reject({ code: 'host_session_ended' });
    const { sdk, ends } = scene.client({ refreshTokens });
    await sdk.connect(backend.signIn());
    await scene.device.advance(HOUR);
    expect(ends.items).toEqual(['host_session_ended']);
  });

  it('when the backend passes on the final word of the server, whatever status it gives it', async () => {
    const backend = new Backend();
    const given = backend.signIn();
    const { sdk, ends } = scene.client(backend);
    await sdk.connect(given);
    const session = scene.server.sessions.get(given.sid);
    if (session) session.revoked = true;
    await scene.device.advance(HOUR);
    expect(ends.items).toEqual(['session_revoked']);
  });
});

describe('does not end', () => {
  it.each([
    ['when it throws', () => Promise.reject(new Error('502'))],
    [
      'when it throws synchronously',
      () => {
        throw new Error('bug');
      },
    ],
    ['when it gives nothing', () => Promise.resolve(undefined)],
    ['when it gives an error of its own', () => Promise.resolve({ error: 'Unauthorized' })],
    [
      'when it passes on an error of its API key',
      () => Promise.resolve({ code: 'api_key_invalid', status: 401 }),
    ],
    ['when it hangs', () => new Promise(() => {})],
  ] as [string, () => Promise<Partial<Tokens>>][])('%s', async (_name, refreshTokens) => {
    const backend = new Backend();
    const { sdk, ends, errors } = scene.client({ refreshTokens });
    await sdk.connect(backend.signIn());
    await scene.device.advance(3 * HOUR);
    expect(ends.items).toEqual([]);
    expect(errors.items).toHaveLength(1);
    expect(errors.items[0]?.message).toMatch(/^Network/);
  });

  it('a session that has neither a refresh token nor a backend, before the server refuses its token', async () => {
    const backend = new Backend();
    const { sdk, ends, errors } = scene.client();
    await sdk.connect(backend.signIn());
    await scene.device.advance(3 * HOUR);
    expect(ends.items).toEqual([]);
    scene.realtime.onConnect = () => ({ error: { code: 109, message: 'token expired' } });
    scene.realtime.closeAll(3005, 'expired');
    while (ends.items.length === 0) await scene.device.advance(1_000);
    expect(ends.items).toEqual(['refresh_token_missing']);
    expect(errors.items).toHaveLength(1);
    expect(errors.items[0]?.message).not.toContain('Network');
  });
});

describe('fetchTokens', () => {
  const json = { 'content-type': 'application/json' };
  const asked = (
    status: number,
    body: unknown,
    headers: Record<string, string> = json,
    more: FetchTokensOptions = {},
  ) => {
    const requests: [string, RequestInit][] = [];
    const tokens = fetchTokens('/api/chat/refresh', {
      ...more,
      headers: { Authorization: 'Bearer host' },
      fetch: async (url, init) => {
        requests.push([url, init]);
        return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers });
      },
    });
    return { tokens, requests };
  };

  it('posts with cookies, and gives the tokens', async () => {
    const { tokens, requests } = asked(200, { accessToken: 'a', refreshToken: '', expiresAt: 1 });
    expect(await tokens).toEqual({ accessToken: 'a', refreshToken: '', expiresAt: 1 });
    const [url, init] = requests[0] ?? [];
    expect(url).toBe('/api/chat/refresh');
    expect(init).toMatchObject({
      method: 'POST',
      credentials: 'include',
      cache: 'no-store',
      headers: { Authorization: 'Bearer host', 'Content-Type': 'application/json' },
    });
  });

  it('tells the backend when it was asked for, and can be given up', async () => {
    const { signal } = new AbortController();
    const more = { body: { device: 'phone' }, sentAt: 1_704_835_200_000, signal };
    const { tokens, requests } = asked(200, { accessToken: 'a' }, json, more);
    await tokens;
    const [, init] = requests[0] ?? [];
    expect(JSON.parse(String(init?.body))).toEqual({ device: 'phone', sentAt: 1_704_835_200_000 });
    expect(init?.signal).toBe(signal);

    const plain = asked(200, { accessToken: 'a' });
    await plain.tokens;
    expect(plain.requests[0]?.[1]).not.toHaveProperty('signal');
  });

  it('of a page that has no session yet says when it is, and again by the clock of the server', async () => {
    vi.useFakeTimers({ now: 1_704_835_200_000 });
    const sent: unknown[] = [];
    const answers = (...documents: unknown[]) =>
      fetchTokens('/refresh', {
        fetch: async (_url, init) => {
          sent.push(JSON.parse(String(init.body)));
          return Response.json(documents[sent.length - 1], {
            status: sent.length < documents.length ? 408 : 200,
          });
        },
      });
    const stale = { status: 408, code: 'request_stale', serverTime: 1_704_838_800_000 };
    expect(await answers(stale, { accessToken: 'a' })).toEqual({ accessToken: 'a' });
    expect(sent.splice(0)).toEqual([{ sentAt: 1_704_835_200_000 }, { sentAt: 1_704_838_800_000 }]);
    await expect(answers(stale, stale, {})).rejects.toThrow('/refresh answered 408');
    expect(sent).toHaveLength(2);
    vi.useRealTimers();
  });

  it.each([{ email: 'ann@example.com' }, {}])('sends the body %j as it is, and once', async (body) => {
    const stale = { status: 408, code: 'request_stale', serverTime: 1 };
    const { tokens, requests } = asked(408, stale, json, { body });
    expect(await tokens).toEqual(stale);
    expect(requests.map(([, init]) => JSON.parse(String(init.body)))).toEqual([body]);
  });

  it('leaves it to the SDK to read that the request came too late', async () => {
    const late = { type: 'about:blank', status: 408, code: 'request_stale', serverTime: 1 };
    const problem = { 'content-type': 'application/problem+json' };
    expect(await asked(408, late, problem, { sentAt: 2 }).tokens).toEqual(late);
    await expect(asked(408, { error: 'Timeout' }).tokens).rejects.toThrow('answered 408');
  });

  const refusal = { type: 'about:blank', status: 401, code: 'refresh_token_reused', requestId: 'req_1' };
  it.each([
    ['its own 401', 401, { error: 'Unauthorized' }, json],
    ['its own 403', 403, { error: 'No chat access' }, json],
    ['our final word, passed on', 401, refusal, { 'content-type': 'application/problem+json' }],
  ])('%s ends the session', async (_name, status, body, headers) => {
    await expect(asked(status, body, headers).tokens).rejects.toBeInstanceOf(HostSessionEndedError);
  });

  it.each([
    ['500', 500, { error: 'oops' }, json],
    ['401 of a proxy', 401, '<html>sign in</html>', { 'content-type': 'text/html' }],
    ['a wrong API key, passed on', 401, { ...refusal, code: 'api_key_invalid' }, json],
    ['200 of a captive portal', 200, '<html>welcome</html>', { 'content-type': 'text/html' }],
  ])('%s passes', async (_name, status, body, headers) => {
    const error: unknown = await asked(status, body, headers).tokens.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(HostSessionEndedError);
  });

  it('is what refreshTokens wants', async () => {
    const backend = new Backend();
    let signedIn = true;
    const refreshTokens = (request: HostRefresh) =>
      fetchTokens('/refresh', {
        ...request,
        fetch: async (_url, init) =>
          signedIn
            ? Response.json(await backend.refreshTokens(JSON.parse(String(init.body))))
            : Response.json({ error: 'Unauthorized' }, { status: 401 }),
      });
    const { sdk, ends } = scene.client({ refreshTokens });
    await sdk.connect(backend.signIn());
    for (let minute = 0; minute < 120; minute += 1) await scene.device.advance(MINUTE);
    expect(backend.calls).toBe(2);
    signedIn = false;
    for (let minute = 0; minute < 60; minute += 1) await scene.device.advance(MINUTE);
    expect(ends.items).toEqual(['host_session_ended']);
  });
});

describe('a request to the backend', () => {
  const hanging = (): { requests: HostRefresh[]; refreshTokens: () => Promise<never> } => {
    const requests: HostRefresh[] = [];
    const refreshTokens = (...[request]: unknown[]) => {
      requests.push(request as HostRefresh);
      return new Promise<never>(() => {});
    };
    return { requests, refreshTokens };
  };

  it('says when it was asked for, by the clock of the server, and is given up after ten seconds', async () => {
    const { requests, refreshTokens } = hanging();
    const { sdk } = scene.client({ refreshTokens });
    await sdk.connect(new Backend().signIn());
    while (requests.length === 0) await scene.device.advance(1_000);
    expect(scene.server.now() - (requests[0]?.sentAt ?? 0)).toBeLessThanOrEqual(1_000);
    await scene.device.advance(8_000);
    expect(requests[0]?.signal.aborted).toBe(false);
    await scene.device.advance(2_000);
    expect(requests[0]?.signal.aborted).toBe(true);
  });

  it.each(['disconnect', 'logout'] as const)('is given up by %s', async (way) => {
    const { requests, refreshTokens } = hanging();
    const { sdk } = scene.client({ refreshTokens });
    await sdk.connect(new Backend().signIn());
    while (requests.length === 0) await scene.device.advance(1_000);
    void sdk[way]();
    expect(requests[0]?.signal.aborted).toBe(true);
    await scene.device.advance(MINUTE);
    expect(requests).toHaveLength(1);
  });
});

describe('whatever the device takes for the time', () => {
  it.each([-2 * HOUR, -50 * MINUTE, 50 * MINUTE, 2 * HOUR])('the server is %d ms ahead', async (ahead) => {
    scene.server.ahead = ahead;
    const backend = new Backend();
    const { sdk, errors } = scene.client(backend);
    // Where the device is ahead, the token seems to have ended: another one is waited for.
    const connected = sdk.connect(backend.signIn());
    await scene.device.advance(10 * HOUR);
    await connected;
    expect(sdk.debugAuth().auth).toMatchObject({ state: 'valid' });
    expect(sdk.debugAuth().auth?.serverClockAheadMs).toBeGreaterThan(ahead - 2_000);
    expect(sdk.debugAuth().auth?.serverClockAheadMs).toBeLessThan(ahead + 2_000);
    expect(errors.items).toEqual([]);
    expect(backend.calls).toBeLessThanOrEqual(12);
  });
});

it.each([
  ['absent', () => undefined],
  ['in seconds', (expiresAt: number) => Math.floor(expiresAt / 1_000)],
  ['a date', (expiresAt: number) => new Date(expiresAt).toISOString()],
])('an expiry that is %s is understood as in connect', async (_name, edit) => {
  const backend = new Backend();
  const refreshTokens = async (request: HostRefresh) => {
    const { accessToken, expiresAt } = await backend.refreshTokens(request);
    return { accessToken, expiresAt: edit(expiresAt ?? 0) } as Partial<Tokens>;
  };
  const { sdk, errors } = scene.client({ refreshTokens });
  await sdk.connect(backend.signIn());
  await scene.device.advance(3 * HOUR);
  expect(sdk.debugAuth().auth).toMatchObject({ state: 'valid' });
  expect(errors.items).toEqual([]);
  expect(backend.calls).toBe(3);
});

it('a backend that gives the same token again and again is asked ever more slowly', async () => {
  const backend = new Backend();
  const given = backend.signIn();
  let calls = 0;
  const refreshTokens = async () => {
    calls += 1;
    return { accessToken: given.token, expiresAt: given.expiresAt };
  };
  const { sdk } = scene.client({ refreshTokens });
  await sdk.connect(given);
  await scene.device.advance(56 * MINUTE);
  expect(calls).toBeLessThan(15);
  scene.server.intercept = () => problem(401, 'token_expired');
  // Connected, and the same token again: what went wrong is the answer, not that the client were disconnected.
  await expect(sdk.request('GET', '/conversations')).rejects.toMatchObject({ code: 'protocol' });
});

it('beside a tab of the same user that keeps its own refresh token, as while an app moves to cookies, both go on', async () => {
  const plain = scene.client({}, scene.newTab());
  await plain.sdk.connect(scene.input());
  await scene.device.advance(MINUTE);
  const backend = new Backend();
  const hosted = scene.client(backend, scene.newTab());
  await hosted.sdk.connect(backend.signIn());
  await scene.device.advance(3 * HOUR);
  expect(plain.sdk.debugAuth().auth).toMatchObject({ state: 'valid', refreshToken: 'here' });
  expect(hosted.sdk.debugAuth().auth).toMatchObject({ state: 'valid', refreshToken: 'backend' });
  const done = hosted.sdk.logout();
  await scene.device.advance(1_000);
  await done;
  expect(plain.ends.items).toEqual(['logged_out']);
});
