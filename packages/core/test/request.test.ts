/** Requests as the current user: one replay with a fresh token, in single flight. §4.7. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NotConnectedError, RequestError } from '../src/index.ts';
import { ClientScene } from './support/client-scene.ts';
import { problem, reply } from './support/fake-platform.ts';
import type { Seen } from './support/fake-server.ts';
import { HOUR } from './support/scene.ts';

let scene: ClientScene;
beforeEach(() => {
  scene = new ClientScene();
  // Without other tabs to ask, all of this happens without time that the test would have to move.
  scene.tab.channels = false;
});
afterEach(() => scene.end());

const path = '/auth/sessions';
const answer = (to: (seen: Seen) => ReturnType<typeof reply> | undefined): void => {
  scene.server.intercept = (seen) => (seen.path === path ? to(seen) : undefined);
};
const calls = (): Seen[] => scene.server.seen.filter((seen) => seen.path === path);

it('carries the token, and gives the body', async () => {
  const { sdk } = scene.client();
  const given = scene.input();
  await sdk.connect(given);
  answer(() => reply(200, { sessions: [] }));
  expect(await sdk.request('GET', path)).toEqual({ sessions: [] });
  expect(calls()[0]?.authorization).toBe(`Bearer ${given.token}`);
  answer(() => reply(204, ''));
  expect(await sdk.request('DELETE', path)).toBeNull();
});

it('is sent once more with a fresh token where the server says that the old one has expired', async () => {
  const { sdk, ends } = scene.client();
  const given = scene.input();
  await sdk.connect(given);
  scene.device.sleep(60_000);
  const bodies: unknown[] = [];
  answer(({ authorization, body }) => {
    bodies.push(body);
    return authorization === `Bearer ${given.token}`
      ? problem(401, 'token_expired')
      : reply(200, { ok: true });
  });
  const body = { clientId: 'c1', text: 'hello' };
  const all = Array.from({ length: 10 }, () => sdk.request('POST', path, { body }));
  expect(await Promise.all(all)).toHaveLength(10);
  expect(scene.server.refreshes).toHaveLength(1);
  expect(bodies).toHaveLength(20);
  expect(bodies.every((one) => JSON.stringify(one) === JSON.stringify(body))).toBe(true);
  expect(ends.items).toEqual([]);
});

it('is not sent a third time', async () => {
  const { sdk, ends } = scene.client();
  await sdk.connect(scene.input());
  scene.device.sleep(60_000);
  answer(() => problem(401, 'token_invalid', { detail: 'No such key.' }));
  const error: unknown = await sdk.request('GET', path).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(RequestError);
  expect(error).toMatchObject({
    code: 'token_invalid',
    status: 401,
    message: 'No such key.',
    retryable: false,
  });
  expect(calls()).toHaveLength(2);
  expect(ends.items).toEqual([]);
});

it('that finds the session revoked ends it by the refresh, once', async () => {
  const { sdk, ends, errors } = scene.client();
  const given = scene.input();
  await sdk.connect(given);
  scene.device.sleep(60_000);
  const session = scene.server.sessions.get(given.sid);
  if (session) session.revoked = true;
  answer(() => problem(401, 'token_revoked'));
  await expect(sdk.request('GET', path)).rejects.toMatchObject({ code: 'session_revoked' });
  expect(ends.items).toEqual(['session_revoked']);
  expect(errors.items).toHaveLength(1);
});

describe('fails, and leaves the session alone,', () => {
  it.each([
    ['without a network', () => undefined, { code: 'network', retryable: true, status: null }],
    ['with 503', () => problem(503, 'unavailable'), { code: 'unavailable', retryable: true, status: 503 }],
    ['with 404', () => problem(404, 'not_found'), { code: 'not_found', retryable: false, status: 404 }],
    [
      'with a page of a proxy',
      () => reply(403, '<html>'),
      { code: 'network', retryable: false, status: 403 },
    ],
  ])('%s', async (_name, to, expected) => {
    const { sdk, ends } = scene.client();
    await sdk.connect(scene.input());
    answer(() => {
      const given = to();
      if (given === undefined) throw new TypeError('Failed to fetch');
      return given;
    });
    const error = await sdk.request('GET', path).catch((caught: unknown) => caught as RequestError);
    expect(error).toMatchObject(expected);
    if (expected.code === 'network') expect((error as RequestError).message).toMatch(/^Network/);
    expect(scene.server.refreshes).toEqual([]);
    expect(ends.items).toEqual([]);
  });
});

it('waits for a refresh where the token has ended, and can be given up', async () => {
  const { sdk } = scene.client({}, scene.tab);
  await sdk.connect(scene.input());
  scene.device.sleep(2 * HOUR);
  answer(() => reply(200, 1));
  expect(await sdk.request('GET', path)).toBe(1);
  expect(scene.server.refreshes).toHaveLength(1);
  const signal = AbortSignal.abort();
  await expect(sdk.request('GET', path, { signal })).rejects.toMatchObject({ code: 'network' });
});

it('needs a session', async () => {
  const { sdk } = scene.client();
  await expect(sdk.request('GET', path)).rejects.toBeInstanceOf(NotConnectedError);
});

it.each(['@evil.example/x', '.evil.example/x', '//evil.example', '/\\evil.example', '/a\nb', ''])(
  'is not sent where the path is %j',
  async (elsewhere) => {
    const { sdk } = scene.client();
    await sdk.connect(scene.input());
    const sent = scene.server.seen.length;
    await expect(sdk.request('GET', elsewhere)).rejects.toMatchObject({
      code: 'invalid_input',
      field: 'path',
    });
    expect(scene.server.seen).toHaveLength(sent);
  },
);
