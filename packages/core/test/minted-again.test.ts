/** Backends that mint for a `deviceId` get another access token of the same session, which is not rotated by it. */
import { expect, it } from 'vitest';
import type { Tokens } from '../src/index.ts';
import { jwt } from './support/fake-server.ts';
import { HOUR, MINUTE, Scene } from './support/scene.ts';

/** Mints for the device, as often as it is called. The refresh token stays with the backend. */
function device(scene: Scene): () => Tokens {
  const rc = scene.server.now();
  return () => {
    const iat = Math.floor(scene.server.now() / 1_000);
    const claims = { sub: 'ann', sid: 'ses_1', rc, iat, exp: iat + 3_600 };
    return { accessToken: jwt({}, claims), refreshToken: '', expiresAt: claims.exp * 1_000 };
  };
}

it('a backend that mints where it is asked to refresh keeps its user signed in', async () => {
  const scene = new Scene();
  const mint = device(scene);
  const actor = scene.actor({ refreshTokens: async () => mint() });
  await scene.start(actor, mint());
  await scene.device.advance(5 * HOUR);
  expect(actor.manager.state).toBe('valid');
  expect(actor.told).toHaveLength(5);
  expect(actor.errors).toEqual([]);
});

it('an app that connects again with what its backend minted goes on with that', async () => {
  const scene = new Scene();
  const mint = device(scene);
  const actor = scene.actor();
  const first = mint();
  await scene.start(actor, first);
  await scene.device.advance(50 * MINUTE);
  const second = mint();
  await scene.start(actor, second);
  await expect(actor.manager.getToken({ refused: first.accessToken })).resolves.toBe(second.accessToken);
  expect(actor.ends).toEqual([]);
});
