/** The JavaScript of the guides for backends, run against the real server. */
import type { RequestListener } from 'node:http';
import type { Session, TokenReply, TokenRequest } from '@chatsdk/server';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Binary } from '../../packages/core/test/support/binary.ts';
import { Programs } from './support/documents.ts';
import { Served } from './support/express.ts';

let chat: Binary;
let programs: Programs;

beforeAll(async () => {
  chat = await Binary.start('serve');
  vi.stubEnv('CHATSDK_API_URL', chat.api);
  vi.stubEnv('CHATSDK_API_KEY', chat.apiKey);
  programs = await Programs.write();
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await programs?.remove();
  await chat?.dispose();
});

const ANN = { authorization: 'Bearer ann-session' };

/** Serves the app of a program, and ends it after `use`. */
async function serving(
  path: string,
  use: (post: (route: string, headers?: Record<string, string>) => Promise<Response>) => Promise<void>,
): Promise<void> {
  const { app } = await programs.run<{ app: RequestListener }>(path);
  const served = await Served.start(app);
  try {
    await use((route, headers = {}) => fetch(served.url + route, { method: 'POST', headers }));
  } finally {
    await served.stop();
  }
}

it('authentication: the endpoint answers tokens, and nobody who is not signed in', async () => {
  await serving('authentication/backend.js', async (post) => {
    expect((await post('/api/chat/token')).status).toBe(401);
    const reply = (await (await post('/api/chat/token', ANN)).json()) as TokenReply;
    expect(reply.user).toMatchObject({ id: 'user-123', name: 'Ann', custom: { role: 'admin' } });
    await chat.refresh(reply.refreshToken);
  });
});

it('authentication: an outage is 503', async () => {
  await chat.stop();
  try {
    await serving('authentication/backend.js', async (post) => {
      expect((await post('/api/chat/token', ANN)).status).toBe(503);
    });
  } finally {
    await chat.run();
  }
});

it('authentication: lifetimes and claims', async () => {
  const { tokens } = await programs.run<{ tokens: TokenReply }>('authentication/lifetimes.js');
  expect(tokens.expiresIn).toBe(15 * 60);
  expect(Math.round((tokens.refreshExpiresAt - tokens.serverTime) / 3_600_000)).toBe(24);
  const claims = await programs.run<{ tokens: TokenReply }>('authentication/claims.js');
  expect(claims.tokens.user.custom).toEqual({
    role: 'admin',
    workspaceId: 'ws-123',
    permissions: ['read', 'write', 'delete'],
  });
});

it('security hardening: lifetimes', async () => {
  const { tokens } = await programs.run<{ tokens: TokenReply }>('security-hardening/lifetimes.js');
  expect(tokens.expiresIn).toBe(600);
  expect(Math.round((tokens.refreshExpiresAt - tokens.serverTime) / 60_000)).toBe(60);
});

it('authentication: another backend verifies', async () => {
  const minted = await chat.mint('user-123', { custom: { role: 'admin' } });
  const { whoCalls } = await programs.run<{
    whoCalls(authorization: string | undefined): Promise<unknown>;
  }>('authentication/verify.js');
  expect(await whoCalls(`Bearer ${minted.accessToken}`)).toEqual({ userId: 'user-123', role: 'admin' });
  expect(await whoCalls(`Bearer ${minted.refreshToken}`)).toBeNull();
  expect(await whoCalls(undefined)).toBeNull();
});

it('storage: the refresh token stays in the cookie', async () => {
  await serving('storage/cookie-backend.js', async (post) => {
    expect((await post('/api/session/token')).status).toBe(401);
    const issued = await post('/api/session/token', ANN);
    expect(await issued.json()).not.toHaveProperty('refreshToken');
    const set = issued.headers.get('set-cookie') ?? '';
    for (const attribute of ['Path=/api/session', 'HttpOnly', 'Secure', 'SameSite=Strict']) {
      expect(set).toContain(attribute);
    }
    const cookie = set.split(';')[0] as string;
    expect((await post('/api/session/refresh', { cookie })).status).toBe(200);
    expect((await post('/api/session/refresh', { cookie, origin: 'https://evil.example' })).status).toBe(403);
    expect((await post('/api/session/logout', { cookie })).status).toBe(204);
    expect((await post('/api/session/refresh', { cookie })).status).toBe(401);
    expect((await post('/api/session/refresh')).status).toBe(401);
  });
});

it('logout: what a backend ends has ended', async () => {
  const revoke = await programs.run<{
    endAll(userId: string): Promise<void>;
    endOthers(userId: string, sessionId: string): Promise<void>;
    endDevice(userId: string, deviceName: string): Promise<void>;
    ban(userId: string): Promise<void>;
    unban(userId: string): Promise<void>;
  }>('logout/revoke.js');
  const live = async (): Promise<string[]> => {
    const { sessions } = (await chat.call('GET', '/auth/users/lea/sessions')) as { sessions: Session[] };
    return sessions.map(({ id }) => id).sort();
  };
  const phone = await chat.mint('lea', { deviceName: 'phone' });
  const laptop = await chat.mint('lea', { deviceName: 'laptop' });
  const tablet = await chat.mint('lea', { deviceName: 'tablet' });
  expect(await live()).toHaveLength(3);
  await revoke.endDevice('lea', 'phone');
  expect(await live()).toEqual([laptop.sessionId, tablet.sessionId].sort());
  await revoke.endOthers('lea', laptop.sessionId);
  expect(await live()).toEqual([laptop.sessionId]);
  await expect(chat.refresh(phone.refreshToken)).rejects.toThrow('session_revoked');

  await revoke.ban('lea');
  await expect(chat.refresh(laptop.refreshToken)).rejects.toThrow('user_banned');
  await expect(chat.mint('lea')).rejects.toThrow('user_banned');
  await revoke.unban('lea');
  await chat.refresh(laptop.refreshToken);
  await revoke.endAll('lea');
  expect(await live()).toEqual([]);
});

it('errors: what a route of a backend answers', async () => {
  const { answer } = await programs.run<{
    answer(userId: TokenRequest['userId']): Promise<{ status: number; body: object }>;
  }>('errors/backend.js');
  const complaints = vi.spyOn(console, 'error').mockImplementation(() => {});
  expect(await answer('kim')).toMatchObject({ status: 200, body: { user: { id: 'kim' } } });
  await chat.call('POST', '/auth/users/kim/ban');
  expect((await answer('kim')).status).toBe(403);
  expect((await answer('')).status).toBe(500);
  await chat.stop();
  try {
    expect(await answer('kim')).toEqual({ status: 503, body: { error: 'Chat is not available' } });
  } finally {
    await chat.run();
  }
  expect(complaints).toHaveBeenCalledTimes(2);
  expect(JSON.stringify(complaints.mock.calls)).not.toContain('csk_');
  complaints.mockRestore();
});

it('security hardening: the policy names the chat and nobody else', async () => {
  const { contentSecurityPolicy } = await programs.run<{
    contentSecurityPolicy(
      req: unknown,
      res: { setHeader(name: string, value: string): void },
      next: () => void,
    ): void;
  }>('security-hardening/csp.js');
  const headers = new Headers();
  const next = vi.fn();
  contentSecurityPolicy({}, { setHeader: (name, value) => headers.set(name, value) }, next);
  expect(headers.get('content-security-policy')).toContain(
    "connect-src 'self' https://chat.example.com wss://chat.example.com;",
  );
  expect(next).toHaveBeenCalledOnce();
});
