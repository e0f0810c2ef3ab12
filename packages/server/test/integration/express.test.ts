/** The routes in a real Express, between a browser that is played here and the real server. */
import express, { type Request } from 'express';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { cookieRoutes, tokenRoute } from '../../src/express.ts';
import { type ChatSDKServer, createChatSDKServer } from '../../src/index.ts';
import { ChatSDK } from '../support/chatsdk.ts';
import { type Listening, listen } from '../support/listen.ts';
import { type Fault, Weather } from '../support/weather.ts';

let chatsdk: ChatSDK;
let weather: Weather;
let chat: ChatSDKServer;
let url: string;
let close: () => Promise<void>;
/** What the routes reported to the host's log. */
let reported: unknown[];

beforeAll(async () => {
  chatsdk = await ChatSDK.start();
  weather = await Weather.before(() => chatsdk.apiUrl);
});
beforeEach(async () => {
  weather.next();
  reported = [];
  chat = createChatSDKServer({
    apiUrl: weather.url,
    apiKey: chatsdk.apiKey,
    maxRetries: 1,
    runtime: { wait: async () => {} },
  });
  const options = {
    chat,
    user: (req: Request) => req.get('x-user') && { userId: req.get('x-user') ?? '' },
    onError: (error: unknown) => reported.push(error),
  };
  const cookies = cookieRoutes({
    ...options,
    cookie: { path: '/cookie' },
    allowedOrigins: ['https://app.example.com'],
  });
  const app = express();
  app.use((_, res, next) => {
    res.cookie('host', 'its own');
    next();
  });
  app.use(express.json());
  app.post('/token', tokenRoute(options));
  app.post('/cookie/token', cookies.issue);
  app.post('/cookie/refresh', cookies.refresh);
  app.post('/cookie/logout', cookies.logout);
  app.post(
    '/broken',
    tokenRoute({
      ...options,
      user: () => {
        throw new Error('The database of the host is down.');
      },
    }),
  );
  app.use(((error, _req, res, _next) => {
    res.status(500).json({ host: (error as Error).message });
  }) satisfies express.ErrorRequestHandler);
  ({ url, close } = await listen(app));
});
afterEach(async () => await close());
afterAll(async () => {
  await weather?.close();
  await chatsdk?.dispose();
});

async function post(path: string, headers: Record<string, string> = {}, body?: unknown) {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { ...headers, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await response.text();
  const ours = response.headers.getSetCookie().find((cookie) => cookie.startsWith('chatRefreshToken='));
  return { response, status: response.status, body: text === '' ? null : JSON.parse(text), cookie: ours };
}

/** Signs in and answers the `Cookie` header that a browser would send from now on. */
async function signIn(user: string): Promise<string> {
  const { cookie = '' } = await post('/cookie/token', { 'x-user': user });
  return cookie.split(';')[0] ?? '';
}

it('tokenRoute answers a whole token reply, to be kept by nobody on the way', async () => {
  const { status, body, response } = await post('/token', { 'x-user': 'ann' });
  expect(status).toBe(200);
  expect(body).toMatchObject({ user: { id: 'ann' }, expiresIn: 3_600 });
  expect(body.refreshToken).toMatch(/^eyJ/);
  expect(response.headers.get('cache-control')).toBe('no-store');
});

it('who is not signed in gets the answer of the specification', async () => {
  for (const path of ['/token', '/cookie/token']) {
    expect(await post(path)).toMatchObject({ status: 401, body: { error: 'Unauthorized' } });
  }
  expect(weather.seen).toEqual([]);
});

it('signs in, refreshes and signs out with a cookie that no script reads', async () => {
  const signedIn = await post('/cookie/token', { 'x-user': 'bob' });
  expect(signedIn.status).toBe(200);
  expect(signedIn.body).not.toHaveProperty('refreshToken');
  expect(signedIn.cookie).toMatch(
    /^chatRefreshToken=eyJ[\w.-]+; Max-Age=60\d{4}; Path=\/cookie; HttpOnly; SameSite=Strict; Secure$/,
  );
  // The host's own cookies are left alone.
  expect(signedIn.response.headers.getSetCookie()).toHaveLength(2);

  const first = signedIn.cookie?.split(';')[0] ?? '';
  const refreshed = await post('/cookie/refresh', { cookie: `other=1; ${first}` });
  expect(refreshed.status).toBe(200);
  expect(refreshed.body).toMatchObject({ sessionId: signedIn.body.sessionId });
  expect(refreshed.body).not.toHaveProperty('refreshToken');
  const second = refreshed.cookie?.split(';')[0] ?? '';
  expect(second).not.toBe(first);

  const out = await post('/cookie/logout', { cookie: second });
  expect(out).toMatchObject({ status: 204, body: null });
  expect(out.cookie).toMatch(/^chatRefreshToken=; Max-Age=0; Path=\/cookie;/);
  expect(await post('/cookie/refresh', { cookie: second })).toMatchObject({
    status: 401,
    body: { code: 'session_revoked' },
  });
});

it('ten tabs that refresh with the same cookie get the same next one', async () => {
  const cookie = await signIn('cleo');
  const answers = await Promise.all(Array.from({ length: 10 }, () => post('/cookie/refresh', { cookie })));
  expect(answers.map((answer) => answer.status)).toEqual(Array(10).fill(200));
  expect(new Set(answers.map((answer) => answer.cookie?.split(';')[0])).size).toBe(1);
});

const PROBLEM = { 'content-type': 'application/problem+json' };

it.each([
  ['no connection', 'cut', 503],
  ['500', { status: 500 }, 503],
  ['a proxy that wants a login', { status: 401, body: '<h1>401</h1>' }, 503],
  ['a proxy that forbids', { status: 403, body: '<h1>403</h1>' }, 503],
  ['a hotel', { status: 200, body: '<h1>Welcome</h1>' }, 503],
  ['a limit', { status: 429, headers: PROBLEM, body: '{"code":"rate_limited","retryAfterMs":30000}' }, 429],
  ['a wrong request', { status: 400, headers: PROBLEM, body: '{"code":"invalid_request"}' }, 500],
  ['a revoked API key', { status: 401, headers: PROBLEM, body: '{"code":"api_key_revoked"}' }, 500],
] satisfies [string, Fault, number][])(
  'whatever is wrong behind the backend signs nobody out: %s',
  async (_, fault, status) => {
    const cookie = await signIn('dora');
    weather.always(fault);
    for (const path of ['/token', '/cookie/token', '/cookie/refresh']) {
      const answer = await post(path, { cookie, 'x-user': 'dora' });
      expect(answer.status).toBe(status);
      expect(answer.cookie).toBeUndefined();
      expect(answer.response.headers.get('content-type')).toBe('application/problem+json');
      expect(['unavailable', 'rate_limited', 'internal']).toContain(answer.body.code);
      if (status !== 500) expect(Number(answer.response.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(JSON.stringify(answer.body)).not.toMatch(/csk_|API key/);
    }
    expect(reported).toHaveLength(3);
    weather.next();
    expect((await post('/cookie/refresh', { cookie })).status).toBe(200);
  },
);

it('waits as long as the limit says, and passes it on', async () => {
  weather.always({ status: 429, headers: PROBLEM, body: '{"code":"rate_limited","retryAfterMs":30000}' });
  const answer = await post('/token', { 'x-user': 'ann' });
  expect(answer.response.headers.get('retry-after')).toBe('30');
  expect(answer.body.retryAfterMs).toBe(30_000);
});

it('an ended session is said to be one, and the cookie of a tab that was faster stays', async () => {
  const cookie = await signIn('eve');
  await chat.revokeUser('eve');
  const over = await post('/cookie/refresh', { cookie });
  expect(over).toMatchObject({
    status: 401,
    body: { code: 'session_revoked', status: 401, requestId: expect.any(String) },
  });
  expect(over.cookie).toBeUndefined();
  expect(await post('/cookie/refresh')).toMatchObject({
    status: 401,
    body: { code: 'refresh_token_invalid' },
  });
});

it('a ban is told to the page', async () => {
  const cookie = await signIn('fay');
  await chat.banUser('fay');
  expect(await post('/cookie/refresh', { cookie })).toMatchObject({
    status: 403,
    body: { code: 'user_banned' },
  });
  expect(await post('/token', { 'x-user': 'fay' })).toMatchObject({
    status: 403,
    body: { code: 'user_banned' },
  });
});

it('a logout removes the cookie though ChatSDK cannot be told, and says so', async () => {
  const cookie = await signIn('gil');
  weather.always('cut');
  const out = await post('/cookie/logout', { cookie });
  expect(out.status).toBe(503);
  expect(out.cookie).toMatch(/Max-Age=0/);
  expect(reported).toHaveLength(1);
  weather.next();
  expect((await post('/cookie/logout')).status).toBe(204);
});

it('other pages can neither refresh nor sign anybody out', async () => {
  const cookie = await signIn('hal');
  const evil = { cookie, 'x-user': 'hal', origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
  for (const path of ['/cookie/token', '/cookie/refresh', '/cookie/logout']) {
    const answer = await fetch(url + path, { method: 'POST', headers: evil });
    expect(answer.status).toBe(403);
    // To the SDK, a 403 of its backend in JSON would say that nobody is signed in.
    expect(answer.headers.get('content-type')).toContain('text/plain');
    expect(answer.headers.getSetCookie().join()).not.toContain('chatRefreshToken');
  }
  const app = { cookie, origin: 'https://app.example.com', 'sec-fetch-site': 'same-site' };
  expect((await post('/cookie/refresh', app)).status).toBe(200);
});

it('a request that was held up on its way from the page uses nothing up', async () => {
  const cookie = await signIn('ida');
  const late = await post('/cookie/refresh', { cookie }, { sentAt: Date.now() - 60_000 });
  expect(late).toMatchObject({ status: 408, body: { code: 'request_stale' } });
  expect(late.body.serverTime).toBeGreaterThan(1_700_000_000_000);
  expect((await post('/cookie/refresh', { cookie }, { sentAt: Date.now() })).status).toBe(200);
});

describe.each([
  ['no body parser', (_app: express.Express) => {}],
  [
    'a middleware that held the body back while it waited',
    (app: express.Express) =>
      void app.use((req, _res, next) => {
        req.pause();
        setImmediate(next);
      }),
  ],
  ['a parser that keeps the text', (app: express.Express) => void app.use(express.text({ type: '*/*' }))],
  ['a parser that keeps the bytes', (app: express.Express) => void app.use(express.raw({ type: '*/*' }))],
])('in a host with %s', (_name, prepare) => {
  let served: Listening;
  beforeEach(async () => {
    const app = express();
    prepare(app);
    served = await listen(app.post('/refresh', cookieRoutes({ chat, user: () => null }).refresh));
  });
  afterEach(async () => await served.close());

  const refresh = async (cookie: string, body: string | null): Promise<number> => {
    const headers = { cookie, 'Content-Type': 'application/json' };
    const response = await fetch(`${served.url}/refresh`, { method: 'POST', headers, body });
    await response.text();
    return response.status;
  };

  it('a page is held to when it says that it asked', async () => {
    const cookie = await signIn('max');
    expect(await refresh(cookie, JSON.stringify({ sentAt: Date.now() - 60_000 }))).toBe(408);
    expect(await refresh(cookie, JSON.stringify({ sentAt: Date.now() }))).toBe(200);
  });

  it.each([
    ['nothing', null],
    ['no JSON', '{'],
    ['an endless text', 'x'.repeat(90_000)],
  ])('%s is read as nothing', async (_what, body) => {
    expect(await refresh(await signIn('nia'), body)).toBe(200);
  });
});

it('errors of the host go the way of the host', async () => {
  expect(await post('/broken')).toMatchObject({
    status: 500,
    body: { host: 'The database of the host is down.' },
  });
});

it('where the session of one cookie is over, the next counts', async () => {
  const former = await signIn('old-eve');
  const current = await signIn('new-eve');
  await chat.revokeUser('old-eve');
  const both = `${former}; ${current}; ${former}`;
  const refreshed = await post('/cookie/refresh', { cookie: both });
  expect(refreshed).toMatchObject({ status: 200, body: { user: { id: 'new-eve' } } });
  await chat.revokeUser('new-eve');
  expect((await post('/cookie/refresh', { cookie: both })).status).toBe(401);
});

it('a logout ends the sessions of all cookies', async () => {
  const both = `${await signIn('ivy')}; ${await signIn('joe')}`;
  const { status, response } = await post('/cookie/logout', { cookie: both });
  expect(status).toBe(204);
  expect([...(await chat.listSessions('ivy')), ...(await chat.listSessions('joe'))]).toEqual([]);
  const removed = response.headers.getSetCookie().filter((cookie) => cookie.includes('Max-Age=0'));
  expect(removed.map((cookie) => /Path=([^;]+)/.exec(cookie)?.[1])).toEqual([
    '/cookie',
    '/',
    '/cookie/logout',
  ]);
});

it('who signs in again is rid of cookies for other paths', async () => {
  const again = await post('/cookie/token', {
    'x-user': 'ann',
    cookie: 'chatRefreshToken=of-a-former-version',
  });
  const [kept, ...removed] = again.response.headers
    .getSetCookie()
    .filter((cookie) => cookie.startsWith('chatRefreshToken'));
  expect(kept).toContain('eyJ');
  expect(removed.map((cookie) => /=; Max-Age=0; Path=([^;]+)/.exec(cookie)?.[1])).toEqual([
    '/',
    '/cookie/token',
  ]);
});

it('ignores times that no page says', async () => {
  const cookie = await signIn('kim');
  for (const sentAt of [2 ** 60, -(2 ** 70), 1.5, 1e300, 'soon']) {
    expect((await post('/cookie/refresh', { cookie }, { sentAt })).status).toBe(200);
  }
});

it('an onError that throws costs nobody the answer', async () => {
  const warned: Error[] = [];
  const warn = (warning: Error): void => {
    warned.push(warning);
  };
  process.on('warning', warn);
  const onError = (): never => {
    throw new Error('no log today');
  };
  const app = express();
  app.use('/chat', cookieRoutes({ chat, user: () => null, onError }).logout);
  const served = await listen(app);
  try {
    weather.always('cut');
    const out = await fetch(`${served.url}/chat/logout`, {
      method: 'POST',
      headers: { cookie: 'chatRefreshToken=x' },
    });
    expect(out.status).toBe(503);
    const removed = out.headers.getSetCookie();
    expect(removed.map((cookie) => /Path=([^;]+)/.exec(cookie)?.[1])).toEqual(['/', '/chat', '/chat/logout']);
    await vi.waitFor(() => expect(String(warned)).toContain('no log today'));
  } finally {
    process.off('warning', warn);
    await served.close();
  }
});

it('a page learns the lifetime and the clock', async () => {
  const issued = await post('/cookie/token', { 'x-user': 'lou' });
  const refreshed = await post('/cookie/refresh', { cookie: issued.cookie?.split(';')[0] ?? '' }, {});
  for (const { body } of [issued, refreshed]) {
    expect(body.expiresIn).toBeGreaterThan(0);
    expect(Math.abs(body.expiresAt - body.serverTime - body.expiresIn * 1_000)).toBeLessThanOrEqual(1_000);
  }
});
