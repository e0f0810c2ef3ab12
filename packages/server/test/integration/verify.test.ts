/** Verifying access tokens with the published keys: what is refused, and how often the keys are asked for. */
import { inspect } from 'node:util';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import {
  type ChatSDKServer,
  createChatSDKServer,
  type TokenReply,
  TokenVerificationError,
} from '../../src/index.ts';
import { ChatSDK, ISSUER } from '../support/chatsdk.ts';
import { Weather } from '../support/weather.ts';

let chatsdk: ChatSDK;
let weather: Weather;
let chat: ChatSDKServer;
let tokens: TokenReply;
/** How far the clocks have been moved, in ms. */
let moved: number;

beforeAll(async () => {
  chatsdk = await ChatSDK.start();
  weather = await Weather.before(() => chatsdk.apiUrl);
});
beforeEach(async () => {
  moved = 0;
  weather.next();
  chat = createChatSDKServer({
    apiUrl: weather.url,
    apiKey: chatsdk.apiKey,
    issuer: ISSUER,
    maxRetries: 0,
    runtime: { wall: () => Date.now() + moved, mono: () => performance.now() + moved },
  });
  tokens = await chat.generateToken({ userId: 'ann', name: 'Ann', custom: { role: 'admin' } });
  weather.next();
});
afterAll(async () => {
  await weather?.close();
  await chatsdk?.dispose();
});

async function refused(token: string): Promise<TokenVerificationError> {
  const error = await chat.verifyToken(token).then(
    () => new Error('It was accepted.'),
    (error: unknown) => error,
  );
  if (error instanceof TokenVerificationError) return error;
  throw error;
}

it('accepts a token of the server, and says whose it is', async () => {
  const token = await chat.verifyToken(tokens.accessToken);
  expect(token).toMatchObject({
    userId: 'ann',
    sessionId: tokens.sessionId,
    expiresAt: tokens.expiresAt,
    user: { id: 'ann', name: 'Ann', custom: { role: 'admin' } },
  });
  expect(token.expiresAt - token.issuedAt).toBe(3_600_000);
  expect(token.appId).toMatch(/^app_/);
});

it('asks for the keys once for a thousand tokens', async () => {
  await Promise.all(Array.from({ length: 1_000 }, () => chat.verifyToken(tokens.accessToken)));
  expect(weather.seen.map((request) => request.path)).toEqual(['/.well-known/jwks.json']);
  expect(weather.seen[0]?.headers).not.toHaveProperty('x-api-key');
});

it('takes tokens of its own app alone, where it is told which', async () => {
  const { appId } = await chat.verifyToken(tokens.accessToken);
  const options = { apiUrl: chatsdk.apiUrl, apiKey: chatsdk.apiKey, issuer: ISSUER };
  const own = createChatSDKServer({ ...options, appId });
  expect((await own.verifyToken(tokens.accessToken)).appId).toBe(appId);
  const other = createChatSDKServer({ ...options, appId: `${appId}x` });
  await expect(other.verifyToken(tokens.accessToken)).rejects.toMatchObject({ code: 'token_invalid' });
});

it('tells expired from invalid, with the tolerance that was asked for', async () => {
  moved = 3_600_000 + 8_000;
  await chat.verifyToken(tokens.accessToken);
  moved += 4_000;
  expect((await refused(tokens.accessToken)).code).toBe('token_expired');
});

it('refuses a token from the future', async () => {
  moved = -60_000;
  expect((await refused(tokens.accessToken)).code).toBe('token_invalid');
});

it('refuses what is no access token of this deployment', async () => {
  const [header = '', payload = '', signature = ''] = tokens.accessToken.split('.');
  const none = Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url');
  for (const wrong of [
    tokens.refreshToken,
    `${header}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`,
    `${none}.${payload}.`,
    `${header}.${payload}`,
    '',
    'nonsense',
    undefined as unknown as string,
  ]) {
    const error = await refused(wrong);
    expect(error.code).toBe('token_invalid');
    if (wrong) expect(`${error.message}${error.stack}${JSON.stringify(error)}`).not.toContain(wrong);
  }
});

it('refuses a token that another deployment, another issuer or a thief of the public key could make', async () => {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'EdDSA', use: 'sig' };
  weather.always({ status: 200, body: JSON.stringify({ keys: [jwk] }) });
  const now = Math.floor(Date.now() / 1_000);
  const good = {
    iss: ISSUER,
    aud: 'chatsdk',
    sub: 'ann',
    sid: 'ses_1',
    client_id: 'app_1',
    jti: 'j',
    iat: now,
    exp: now + 60,
  };
  const header = { alg: 'EdDSA', kid: 'k1', typ: 'at+jwt' };
  const sign = (payload: JWTPayload, head = {}): Promise<string> =>
    new SignJWT(payload).setProtectedHeader({ ...header, ...head }).sign(privateKey);
  expect((await chat.verifyToken(await sign(good))).userId).toBe('ann');
  expect((await chat.verifyToken(await sign(good, { typ: 'application/at+jwt' }))).userId).toBe('ann');

  const wrong = [
    await sign({ ...good, iss: 'https://other.example' }),
    await sign({ ...good, aud: 'other' }),
    await sign({ ...good, exp: now + 40 * 86_400, iat: now - 2 * 86_400 }),
    await sign({ ...good, sid: 7 }),
    await sign(good, { typ: 'JWT' }),
    await sign(good, { typ: 'rt+jwt' }),
    await sign(good, { typ: undefined }),
    await sign(good, { crit: ['exp'] }).catch(() => 'not even made'),
    await new SignJWT(good)
      .setProtectedHeader({ ...header, alg: 'HS256' })
      .sign(new TextEncoder().encode(jwk.x)),
  ];
  for (const name of ['iss', 'aud', 'sub', 'sid', 'client_id', 'jti', 'iat', 'exp'] as const) {
    const { [name]: _, ...rest } = good;
    wrong.push(await sign(rest));
  }
  for (const token of wrong) expect((await refused(token)).code).toBe('token_invalid');
});

it('takes a key that is new, but lets nobody make it ask for keys without end', async () => {
  await chat.verifyToken(tokens.accessToken);
  const [, payload, signature] = tokens.accessToken.split('.');
  const unknown = Buffer.from('{"alg":"EdDSA","kid":"never-was-one","typ":"at+jwt"}').toString('base64url');
  const stranger = `${unknown}.${payload}.${signature}`;
  for (let round = 0; round < 50; round += 1) {
    // Its key may be younger than the set: that says nothing of the token.
    await expect(chat.verifyToken(stranger)).rejects.toMatchObject({ code: 'network', retryable: true });
  }
  expect(weather.seen).toHaveLength(1);
  moved = 31_000;
  expect((await refused(stranger)).code).toBe('token_invalid');
  expect(weather.seen).toHaveLength(2);

  await chatsdk.command('signing-key', 'rotate', '--emergency');
  let { accessToken } = await chat.generateToken({ userId: 'ann' });
  // The serving process learns of the rotation within its next look at the database.
  while (kid(accessToken) === kid(tokens.accessToken))
    ({ accessToken } = await chat.generateToken({ userId: 'ann' }));
  weather.next();
  moved = 62_000;
  const fresh = await chat.verifyToken(accessToken);
  expect(fresh.userId).toBe('ann');
  expect(weather.seen).toHaveLength(1);
  // The key of the emergency is no longer published.
  moved = 93_000;
  expect((await refused(tokens.accessToken)).code).toBe('token_invalid');
});

function kid(token: string): unknown {
  return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
}

it('an outage is no invalid token, and the keys of before outlive it', async () => {
  weather.always('cut');
  await expect(chat.verifyToken(tokens.accessToken)).rejects.toMatchObject({ code: 'network' });
  await expect(chat.verifyToken(tokens.accessToken)).rejects.toMatchObject({ code: 'network' });
  expect(weather.seen).toHaveLength(1);
  moved = 2_000;
  weather.next();
  await chat.verifyToken(tokens.accessToken);

  weather.always('cut');
  moved = 700_000;
  await chat.verifyToken(tokens.accessToken);
  await weather.waitFor(1);
  // It waits for the fetch that is under way, and says what that came to: no word about the token.
  const unknown = Buffer.from('{"alg":"EdDSA","kid":"never-was-one","typ":"at+jwt"}').toString('base64url');
  await expect(chat.verifyToken(`${unknown}.e30.c2ln`)).rejects.toMatchObject({ code: 'network' });
  await chat.verifyToken(tokens.accessToken);
  expect(weather.seen).toHaveLength(1);
  weather.next();
  moved += 31_000;
  await chat.verifyToken(tokens.accessToken);
  await weather.waitFor(1);
});

it('keys that are held are waited for by nobody', async () => {
  let asked = 0;
  const stuck = createChatSDKServer({
    apiUrl: weather.url,
    apiKey: chatsdk.apiKey,
    issuer: ISSUER,
    runtime: {
      mono: () => performance.now() + moved,
      // The first is answered, and no other, whatever signal there is.
      fetch: (input, init) => {
        asked += 1;
        return asked === 1 ? fetch(input, init) : new Promise(() => {});
      },
    },
  });
  await stuck.verifyToken(tokens.accessToken);
  moved = 700_000;
  for (let round = 0; round < 3; round += 1) {
    expect((await stuck.verifyToken(tokens.accessToken)).userId).toBe('ann');
  }
  expect(asked).toBe(2);
});

it('shows nothing of the claims of a token that it refuses', async () => {
  moved = 3_700_000;
  const error = await refused(tokens.accessToken);
  expect(error.code).toBe('token_expired');
  expect(error.cause).toBeUndefined();
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('ses_');
});
