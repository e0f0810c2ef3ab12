/** Every method, against the real server. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  ApiError,
  type ChatSDKServer,
  createChatSDKServer,
  generateChatSDKToken,
  InvalidInputError,
} from '../../src/index.ts';
import { ChatSDK, ISSUER } from '../support/chatsdk.ts';

let chatsdk: ChatSDK;
let chat: ChatSDKServer;

beforeAll(async () => {
  chatsdk = await ChatSDK.start();
  chat = createChatSDKServer({ apiUrl: `${chatsdk.apiUrl}/`, apiKey: chatsdk.apiKey, issuer: ISSUER });
});
afterAll(async () => await chatsdk?.dispose());

/** The error that `call` rejects with. */
async function failure(call: Promise<unknown>): Promise<ApiError> {
  const error = await call.then(
    () => new Error('It did not fail.'),
    (error: unknown) => error,
  );
  if (error instanceof ApiError) return error;
  throw error;
}

it('mints with all that the specification shows', async () => {
  const custom = { role: 'admin', workspaceId: 'ws-123', permissions: ['read', 'write', 'delete'] };
  const tokens = await chat.generateToken({
    userId: 'user-123',
    name: 'Test User',
    avatar: 'https://example.com/avatar.jpg',
    custom,
    accessTokenExpiry: '1h',
    refreshTokenExpiry: '7d',
  });
  expect(tokens.accessToken).toMatch(/^eyJ/);
  expect(tokens.refreshToken).toMatch(/^eyJ/);
  expect(tokens.expiresIn).toBe(3_600);
  expect(tokens.expiresAt - tokens.serverTime).toBeLessThanOrEqual(3_600_000);
  expect(tokens.user).toEqual({
    id: 'user-123',
    name: 'Test User',
    avatar: 'https://example.com/avatar.jpg',
    custom,
  });
});

it('mints with nothing but the environment', async () => {
  process.env.CHATSDK_API_URL = chatsdk.apiUrl;
  process.env.CHATSDK_API_KEY = chatsdk.apiKey;
  try {
    const tokens = await generateChatSDKToken({ userId: 42 });
    expect(tokens.user.id).toBe('42');
    process.env.CHATSDK_API_KEY = 'csk_live_wrong';
    expect((await failure(generateChatSDKToken({ userId: 42 }))).code).toBe('api_key_invalid');
  } finally {
    delete process.env.CHATSDK_API_URL;
    delete process.env.CHATSDK_API_KEY;
  }
});

it('leaves alone what is undefined, and clears what is null', async () => {
  await chat.generateToken({ userId: 'cleo', name: 'Cleo', custom: { a: 1 } });
  const kept = await chat.generateToken({ userId: 'cleo', name: undefined, custom: undefined });
  expect(kept.user).toMatchObject({ name: 'Cleo', custom: { a: 1 } });
  const cleared = await chat.generateToken({ userId: 'cleo', name: null, custom: null });
  expect(cleared.user.custom ?? null).toBeNull();
  expect(cleared.user.name ?? null).toBeNull();
});

it('finds the session of a device again', async () => {
  const first = await chat.generateToken({ userId: 'dora', deviceId: 'phone', deviceName: 'Her phone' });
  const second = await chat.generateToken({ userId: 'dora', deviceId: 'phone' });
  expect(second.sessionId).toBe(first.sessionId);
});

it('lists and ends sessions', async () => {
  const [one, two, three] = [
    await chat.generateToken({ userId: 'ann/ä?#%', deviceId: 'a', deviceName: 'Phone' }),
    await chat.generateToken({ userId: 'ann/ä?#%' }),
    await chat.generateToken({ userId: 'ann/ä?#%' }),
  ];
  const listed = await chat.listSessions('ann/ä?#%');
  expect(listed.map((session) => session.id).sort()).toEqual(
    [one, two, three].map((t) => t.sessionId).sort(),
  );
  expect(listed.find((session) => session.id === one.sessionId)).toMatchObject({
    deviceId: 'a',
    deviceName: 'Phone',
  });

  await chat.revokeSession('ann/ä?#%', one.sessionId);
  await chat.revokeSession('ann/ä?#%', one.sessionId);
  expect((await failure(chat.refresh(one.refreshToken))).code).toBe('session_revoked');

  await chat.revokeUser('ann/ä?#%', { except: two.sessionId });
  expect((await failure(chat.refresh(three.refreshToken))).code).toBe('session_revoked');
  expect((await chat.refresh(two.refreshToken)).sessionId).toBe(two.sessionId);

  await chat.revokeUser('ann/ä?#%');
  expect(await chat.listSessions('ann/ä?#%')).toEqual([]);
});

it('bans and unbans', async () => {
  const tokens = await chat.generateToken({ userId: 'bob' });
  await chat.banUser('bob', { reason: 'spam' });
  const refused = await failure(chat.refresh(tokens.refreshToken));
  expect(refused).toMatchObject({ code: 'user_banned', httpStatus: 403 });
  expect((await failure(chat.generateToken({ userId: 'bob' }))).code).toBe('user_banned');
  await chat.unbanUser('bob');
  expect((await chat.refresh(tokens.refreshToken)).user.id).toBe('bob');
});

it('ends the session of a refresh token, as often as asked', async () => {
  const { refreshToken } = await chat.generateToken({ userId: 'eve' });
  await chat.revokeToken(refreshToken);
  await chat.revokeToken(refreshToken);
  await chat.revokeToken('nonsense');
  expect((await failure(chat.refresh(refreshToken))).code).toBe('session_revoked');
});

it('introspects', async () => {
  const tokens = await chat.generateToken({ userId: 'fay' });
  const active = await chat.introspect(tokens.accessToken);
  expect(active).toMatchObject({
    active: true,
    sub: 'fay',
    sid: tokens.sessionId,
    token_type: 'access_token',
  });
  await chat.revokeUser('fay');
  expect(await chat.introspect(tokens.accessToken)).toEqual({ active: false });
  expect(await chat.introspect('nonsense')).toEqual({ active: false });
});

it('tells what the server said was wrong', async () => {
  const error = await failure(chat.generateToken({ userId: 'gil', avatar: 'javascript:alert(1)' }));
  expect(error).toMatchObject({ code: 'invalid_field', httpStatus: 400, field: 'avatar', retryable: false });
  expect(error.requestId).toMatch(/^[\w.-]{8,64}$/);
  expect(error.hint).toContain('/docs');
  expect((await failure(chat.revokeSession('gil', 'ses_01h455vb4pex5vsknk084sn02q'))).code).toBe(
    'session_not_found',
  );
});

it('refuses ids that it cannot send where they belong, before sending anything', async () => {
  for (const userId of ['', undefined, null, 1.5, -1, {}]) {
    await expect(chat.generateToken({ userId: userId as string })).rejects.toBeInstanceOf(InvalidInputError);
  }
  for (const userId of ['.', '..']) {
    await expect(chat.revokeUser(userId)).rejects.toMatchObject({ code: 'invalid_input', field: 'userId' });
  }
  await expect(chat.refresh('')).rejects.toMatchObject({ field: 'refreshToken' });
});

const endless: Record<string, unknown> = {};
endless.itself = [endless, endless];

it.each([
  ['custom', { custom: { a: 1n } }],
  ['custom', { custom: { a: Number.NaN } }],
  ['custom', { custom: { '\ud800': 1 } }],
  ['custom', { custom: endless }],
  ['custom', { custom: { a: Object(1n) } }],
  ['name', { name: 'half a \ud83d' }],
])('refuses a %s that is no JSON', async (field, wrong) => {
  await expect(chat.generateToken({ userId: 'gil', ...wrong })).rejects.toMatchObject({
    code: 'invalid_input',
    field,
  });
});

it('refuses half characters everywhere, and times that are none', async () => {
  const half = '\ud83d';
  for (const call of [
    chat.generateToken({ userId: half }),
    chat.revokeUser(half),
    chat.revokeSession('gil', half),
    chat.refresh(half),
    chat.revokeToken(half),
    chat.introspect(half),
    chat.banUser('gil', { reason: half }),
    chat.refresh('eyJ', { sentAt: 1.5 }),
  ]) {
    await expect(call).rejects.toMatchObject({ code: 'invalid_input' });
  }
});
