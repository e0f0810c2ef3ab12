/** Any backend can verify our tokens: an independent library does so with the published keys. */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeProtectedHeader,
  type JSONWebKeySet,
  jwtVerify,
} from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Binary } from '../support/binary.ts';

let server: Binary;
beforeAll(async () => {
  server = await Binary.start('serve');
});
afterAll(async () => await server?.dispose());

const EXPECTED = {
  issuer: 'http://localhost:5500',
  audience: 'chatsdk',
  typ: 'at+jwt',
  algorithms: ['EdDSA'],
};

it('a minted and a refreshed access token verify against /.well-known/jwks.json', async () => {
  const custom = { role: 'admin', workspaceId: 'ws-123', permissions: ['read', 'write', 'delete'] };
  const minted = await server.mint('test-user-123', { name: 'Test User', custom });
  const keys = createRemoteJWKSet(new URL(`${server.api}/.well-known/jwks.json`));
  const refreshed = await server.refresh(minted.refreshToken);
  for (const { accessToken, sessionId } of [minted, refreshed]) {
    const { payload } = await jwtVerify(accessToken, keys, EXPECTED);
    expect(payload).toMatchObject({ sub: 'test-user-123', sid: sessionId, name: 'Test User', custom });
    expect(payload.exp).toBe((payload.iat ?? 0) + 3_600);
  }
});

it('the keys are public halves alone, and a changed token does not verify', async () => {
  const { accessToken } = await server.mint('ann');
  const set = (await server.call('GET', '/.well-known/jwks.json')) as JSONWebKeySet;
  for (const key of set.keys) expect(key).not.toHaveProperty('d');
  expect(set.keys.map((key) => key.kid)).toContain(decodeProtectedHeader(accessToken).kid);
  const [header, payload, signature = ''] = accessToken.split('.');
  const first = signature.startsWith('A') ? 'B' : 'A';
  const changed = [header, payload, first + signature.slice(1)].join('.');
  await expect(jwtVerify(changed, createLocalJWKSet(set), EXPECTED)).rejects.toThrow();
});
