/** What networks do, between the package and the real server. */
import { type AddressInfo, createServer } from 'node:net';
import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import {
  ApiError,
  ChatSDKError,
  type ChatSDKServer,
  createChatSDKServer,
  isSessionEnded,
  NetworkError,
} from '../../src/index.ts';
import { ChatSDK } from '../support/chatsdk.ts';
import { type Fault, Weather } from '../support/weather.ts';

let chatsdk: ChatSDK;
let weather: Weather;
let chat: ChatSDKServer;
/** The pauses that were made, in ms; they take no time. */
let pauses: number[];

beforeAll(async () => {
  chatsdk = await ChatSDK.start();
  weather = await Weather.before(() => chatsdk.apiUrl);
});
beforeEach(() => {
  pauses = [];
  weather.next();
  chat = client();
});
afterAll(async () => {
  await weather?.close();
  await chatsdk?.dispose();
});

function client(options: Parameters<typeof createChatSDKServer>[0] = {}): ChatSDKServer {
  const wait = async (ms: number): Promise<void> => {
    pauses.push(ms);
  };
  const { runtime, ...rest } = options;
  return createChatSDKServer({
    apiUrl: weather.url,
    apiKey: chatsdk.apiKey,
    ...rest,
    runtime: { wait, random: () => 0.5, ...runtime },
  });
}

async function failure(call: Promise<unknown>): Promise<ChatSDKError> {
  const error = await call.then(
    () => new Error('It did not fail.'),
    (error: unknown) => error,
  );
  if (error instanceof ChatSDKError) return error;
  throw error;
}

const HTML: Fault = { status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>Bad gateway</h1>' };

it.each([
  ['a connection that is cut', 'cut'],
  ['a reply that is lost', 'loseReply'],
  ['a bad gateway', HTML],
  ['503', { status: 503 }],
  ['429', { status: 429 }],
] satisfies [string, Fault][])('repeats a mint after %s', async (_, fault) => {
  weather.next(fault, fault);
  expect((await chat.generateToken({ userId: 'ann' })).user.id).toBe('ann');
  expect(weather.seen).toHaveLength(3);
  expect(pauses).toEqual([100, 200]);
});

it('a mint whose reply was lost is found again by its device', async () => {
  weather.next('loseReply');
  const { sessionId } = await chat.generateToken({ userId: 'bob', deviceId: 'phone' });
  expect((await chat.listSessions('bob')).map((session) => session.id)).toEqual([sessionId]);
});

it('a refresh whose reply was lost is answered with the same successor', async () => {
  const { refreshToken } = await chat.generateToken({ userId: 'cleo' });
  weather.next('loseReply', 'loseReply');
  const first = await chat.refresh(refreshToken);
  const again = await chat.refresh(refreshToken);
  expect(again.refreshToken).toBe(first.refreshToken);
});

it('gives up an attempt that hangs, and tries again', async () => {
  chat = client({ attemptTimeoutMs: 200 });
  weather.next('hang');
  expect((await chat.generateToken({ userId: 'ann' })).user.id).toBe('ann');
});

it('gives the call up when its time is over, and says so', async () => {
  chat = client({ timeoutMs: 300, attemptTimeoutMs: 200 });
  weather.always('hang');
  const error = await failure(chat.generateToken({ userId: 'ann' }));
  expect(error).toBeInstanceOf(NetworkError);
  expect(error).toMatchObject({ code: 'timeout', retryable: true, httpStatus: null });
  expect(error.message).toMatch(/^Network/);
});

it('says when nobody is there', async () => {
  weather.always('cut');
  const error = await failure(chat.generateToken({ userId: 'ann' }));
  expect(error).toMatchObject({ code: 'network', retryable: true });
  expect(weather.seen).toHaveLength(4);
});

it('waits as long as it is told', async () => {
  const document = {
    code: 'rate_limited',
    detail: 'Too many requests.',
    retryAfterMs: 2_500,
    requestId: 'abcdefgh',
  };
  const problem = { 'content-type': 'application/problem+json' };
  weather.next(
    { status: 429, headers: { ...problem, 'retry-after': '2' }, body: JSON.stringify(document) },
    { status: 503, headers: { 'retry-after': '3' } },
  );
  await chat.generateToken({ userId: 'ann' });
  expect(pauses).toEqual([2_500, 3_000]);
});

it('does not wait for longer than the call may take, but tells how long', async () => {
  weather.next({ status: 429, headers: { 'retry-after': '120' } });
  const error = await failure(chat.generateToken({ userId: 'ann' }));
  expect(error).toMatchObject({ httpStatus: 429, retryAfterMs: 120_000, retryable: true });
  expect(weather.seen).toHaveLength(1);
  weather.next({ status: 503, headers: { 'retry-after': '999999999' } });
  expect((await failure(chat.generateToken({ userId: 'ann' }))).retryAfterMs).toBe(3_600_000);
});

it('pauses by the timers of Node where no others are given', async () => {
  const real = createChatSDKServer({ apiUrl: weather.url, apiKey: chatsdk.apiKey });
  weather.next('cut');
  expect((await real.generateToken({ userId: 'ann' })).user.id).toBe('ann');
  const reason = new Error('The user went away.');
  const abort = new AbortController();
  weather.next({ status: 503, headers: { 'retry-after': '5' } });
  const call = real.generateToken({ userId: 'ann' }, { signal: abort.signal });
  while (weather.seen.length === 0) await new Promise((resume) => setImmediate(resume));
  abort.abort(reason);
  await expect(call).rejects.toBe(reason);
});

it.each([
  [{ status: 403, headers: { 'content-type': 'text/html' }, body: '<h1>Sign in to the proxy</h1>' }],
  [{ status: 401, body: '{"error":"no"}' }],
  [{ status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>Welcome to the hotel</h1>' }],
  [{ status: 200, body: '{"hello":"world"}' }],
  [{ status: 200, body: '[]' }],
  [{ status: 401, headers: { 'content-type': 'application/json' }, body: '{"code":"session_revoked"}' }],
] satisfies [Fault][])(
  'never takes what something else answers for the word of ChatSDK: %o',
  async (fault) => {
    weather.always(fault);
    const error = await failure(chat.refresh('eyJhbGciOiJIUzI1NiJ9.e30.c2ln'));
    expect(error).toMatchObject({ code: 'foreign_answer' });
    expect(isSessionEnded(error)).toBe(false);
    expect(error.message).toMatch(/^Network/);
  },
);

it('follows no redirect with its key', async () => {
  const elsewhere = await Weather.before(() => chatsdk.apiUrl);
  try {
    weather.next({ status: 308, headers: { location: `${elsewhere.url}/auth/tokens?x=1` } });
    const error = await failure(chat.generateToken({ userId: 'ann' }));
    expect(error.code).toBe('foreign_answer');
    expect(error.message).toContain(`redirects to ${elsewhere.url};`);
    expect(elsewhere.seen).toEqual([]);
  } finally {
    await elsewhere.close();
  }
});

it('stops at once when its signal fires, with the reason', async () => {
  const reason = new Error('The user went away.');
  await expect(chat.generateToken({ userId: 'ann' }, { signal: AbortSignal.abort(reason) })).rejects.toBe(
    reason,
  );
  expect(weather.seen).toEqual([]);

  const during = new AbortController();
  weather.next('cut');
  const wait = async (): Promise<void> => during.abort(reason);
  const call = client({ runtime: { wait } }).generateToken({ userId: 'ann' }, { signal: during.signal });
  await expect(call).rejects.toBe(reason);
});

it('a clock that is wrong by hours refreshes all the same, and learns', async () => {
  const { refreshToken } = await chat.generateToken({ userId: 'dora' });
  const skewed = client({ runtime: { wall: () => Date.now() - 7_200_000 } });
  weather.next();
  const next = await skewed.refresh(refreshToken);
  expect(weather.seen).toHaveLength(2);
  weather.next();
  await skewed.refresh(next.refreshToken);
  expect(weather.seen).toHaveLength(1);
});

it('a page that says when it asked is held to it', async () => {
  const { refreshToken } = await chat.generateToken({ userId: 'dora' });
  const error = await failure(chat.refresh(refreshToken, { sentAt: Date.now() - 60_000 }));
  expect(error).toMatchObject({ code: 'request_stale', httpStatus: 408, retryable: false });
  expect(Math.abs((error.serverTime ?? 0) - Date.now())).toBeLessThan(5_000);
});

it('no failure shows the key or a token', async () => {
  const { refreshToken, accessToken } = await chat.generateToken({ userId: 'eve' });
  const secrets = new RegExp([chatsdk.apiKey, refreshToken, accessToken].join('|'));
  const echo = `${chatsdk.apiKey} ${refreshToken}`;
  const problem = { 'content-type': 'application/problem+json' };
  const faults: Fault[] = [
    'cut',
    { status: 500, body: echo },
    { status: 200, body: echo },
    { status: 302, headers: { location: `/${refreshToken}` } },
    { status: 400, headers: problem, body: JSON.stringify({ code: 'invalid_request', detail: echo }) },
  ];
  for (const fault of faults) {
    weather.always(fault);
    const calls = [
      () => chat.generateToken({ userId: 'eve' }),
      () => chat.refresh(refreshToken),
      () => chat.introspect(accessToken),
    ];
    for (const call of calls) {
      const error = await failure(call());
      for (let at: unknown = error; at instanceof Error; at = at.cause) {
        expect(`${inspect(at, { depth: 10, showHidden: true })}${at.stack}${JSON.stringify(at)}`).not.toMatch(
          secrets,
        );
      }
    }
  }
});

it('survives a restart of the server', async () => {
  await chatsdk.stop();
  expect((await failure(chat.generateToken({ userId: 'ann' }))).code).toBe('network');
  await chatsdk.run();
  expect((await chat.generateToken({ userId: 'ann' })).user.id).toBe('ann');
});

it('waits out the limit of the real server', async () => {
  const limited = await ChatSDK.start('--rate-limits', 'on');
  try {
    const patient = createChatSDKServer({ apiUrl: limited.apiUrl, apiKey: limited.apiKey, maxRetries: 0 });
    const calls = Array.from({ length: 40 }, () => patient.generateToken({ userId: 'fay' }));
    const failed = (await Promise.allSettled(calls)).filter((call) => call.status === 'rejected');
    expect(failed.length).toBeGreaterThan(0);
    for (const { reason } of failed) {
      expect(reason).toBeInstanceOf(ApiError);
      expect(reason).toMatchObject({ code: 'rate_limited', httpStatus: 429 });
      expect(reason.retryAfterMs).toBeGreaterThan(0);
    }
  } finally {
    await limited.dispose();
  }
});

it('gives nobody the tokens of somebody else', async () => {
  const other = await chat.generateToken({ userId: 'somebody-else' });
  weather.always({ status: 200, body: JSON.stringify(other) });
  const error = await failure(chat.generateToken({ userId: 'ann' }));
  expect(error).toBeInstanceOf(NetworkError);
  expect(error).toMatchObject({ code: 'foreign_answer', retryable: false });
  expect(weather.seen).toHaveLength(1);
  weather.always({ status: 200, body: '{"accessToken":"a","refreshToken":"r","expiresAt":1}' });
  expect((await failure(chat.generateToken({ userId: 'ann' }))).code).toBe('foreign_answer');
});

it.each([
  ['as it comes', {}, (body: Buffer) => body],
  ['compressed', { 'content-encoding': 'gzip' }, gzipSync],
])('keeps no reply without end in memory, %s', async (_, headers, write) => {
  weather.always({ status: 200, headers, body: write(Buffer.alloc(17 * 1024 * 1024, ' ')) });
  const error = await failure(client({ maxRetries: 0 }).introspect('token'));
  expect(error).toMatchObject({ code: 'network', retryable: true });
  expect((error.cause as Error).message).toBe('The reply has no end.');
});

it('reads characters that come in pieces', async () => {
  const name = '😀'.repeat(32);
  weather.always('split');
  expect((await chat.generateToken({ userId: 'zoe', name })).user.name).toBe(name);
});

it('shows nothing of a reply that was no HTTP', async () => {
  const broken = createServer((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\0eyJhbGci.e30.c2ln')),
  );
  const { port } = await new Promise<AddressInfo>((ready) =>
    broken.listen(0, '127.0.0.1', () => ready(broken.address() as AddressInfo)),
  );
  try {
    const error = await failure(
      client({ apiUrl: `http://127.0.0.1:${port}`, maxRetries: 0 }).introspect('token'),
    );
    expect(error.code).toBe('network');
    expect((error.cause as Error).cause).toMatchObject({ name: 'HTTPParserError' });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('eyJ');
  } finally {
    broken.close();
  }
});
