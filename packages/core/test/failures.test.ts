/** What a refresh may be answered with, and what that does to the session: C10–C19, C24, R83–R87. */
import { describe, expect, it } from 'vitest';
import { FATAL_CODES, RefreshError } from '../src/index.ts';
import { problem, reply } from './support/fake-platform.ts';
import { HOUR, MINUTE, Scene } from './support/scene.ts';

const down = (): never => {
  throw new TypeError('Failed to fetch');
};

describe('an outage', () => {
  it('of ten minutes is told of once, when the token has ended, and heals by itself', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    await scene.device.advance(55 * MINUTE);
    scene.server.intercept = down;
    await scene.device.advance(5 * MINUTE - 1_000);
    expect(actor.errors).toHaveLength(0);
    expect(actor.manager.state).toBe('stale');
    expect(await actor.manager.getToken()).toBe(actor.manager.tokens?.accessToken);
    await scene.device.advance(5 * MINUTE);
    expect(scene.server.refreshes.length).toBeGreaterThanOrEqual(8);
    expect(actor.errors).toHaveLength(1);
    const [error] = actor.errors;
    expect(error).toBeInstanceOf(RefreshError);
    expect(error?.message).toMatch(
      /^Network error: could not refresh the chat session \(attempt \d+; will keep retrying\)/,
    );
    expect(error).toMatchObject({ kind: 'network', code: 'network', retryable: true });
    expect(actor.manager.state).toBe('expired');

    scene.server.intercept = () => undefined;
    scene.device.goOnline(true);
    await scene.device.advance(3_000);
    expect(actor.manager.state).toBe('valid');
    expect(actor.told).toHaveLength(1);
    expect(actor.ends).toHaveLength(0);
  });

  it('is told of again when there is another', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    for (const count of [1, 2]) {
      scene.server.intercept = down;
      await scene.device.advance(2 * HOUR);
      expect(actor.errors).toHaveLength(count);
      scene.server.intercept = () => undefined;
      await scene.device.advance(2 * MINUTE);
      expect(actor.manager.state).toBe('valid');
    }
  });

  it('of three failures is not told of at all', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    let failures = 3;
    scene.server.intercept = () => (failures-- > 0 ? reply(500, 'oops') : undefined);
    await scene.device.advance(56 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(4);
    expect(actor.errors).toHaveLength(0);
    expect(actor.told).toHaveLength(1);
  });

  it('lets callers fail at once while it lasts and the token has ended', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    scene.server.intercept = down;
    await scene.device.advance(2 * HOUR);
    const before = scene.server.refreshes.length;
    await expect(actor.manager.getToken()).rejects.toThrow(/^Network/);
    expect(scene.server.refreshes).toHaveLength(before);
  });
});

describe('weather that leaves the session alone', () => {
  const answers: [string, () => ReturnType<typeof reply>][] = [
    ['500', () => reply(500, 'oops')],
    ['520', () => reply(520, '')],
    ['503 of ours', () => problem(503, 'unavailable')],
    ['429 of ours', () => problem(429, 'rate_limited')],
    ['401 without our document', () => reply(401, { error: 'unauthorized' })],
    ['401 with our code, but as plain JSON', () => reply(401, { code: 'refresh_token_invalid' })],
    ['403 of an identity proxy', () => reply(403, '<html>sign in</html>', { 'content-type': 'text/html' })],
    ['401 of ours with a code that is not final', () => problem(401, 'token_invalid')],
    ['a fatal code under a status that is not its own', () => problem(500, 'session_revoked')],
    ['200 of a captive portal', () => reply(200, '<html>welcome</html>', { 'content-type': 'text/html' })],
    ['200 without tokens', () => reply(200, {})],
    ['200 without a refresh token', () => reply(200, { accessToken: 'eyJ.eyJ.x', expiresAt: 1 })],
    ['200 with wrong types', () => reply(200, { accessToken: 1, refreshToken: [], expiresAt: 'soon' })],
    ['400 of ours', () => problem(400, 'invalid_request')],
    ['413 of ours', () => problem(413, 'payload_too_large')],
  ];

  it.each(answers)('%s', async (_name, answer) => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    const kept = actor.manager.tokens;
    scene.server.intercept = () => answer();
    await scene.device.advance(2 * HOUR);
    expect(actor.ends).toHaveLength(0);
    expect(actor.errors).toHaveLength(1);
    expect(actor.errors[0]?.message).toMatch(/^Network/);
    expect(actor.manager.tokens).toEqual(kept);
    scene.server.intercept = () => undefined;
    await scene.device.advance(2 * MINUTE);
    expect(actor.manager.state).toBe('valid');
  });

  it('tokens for another user are not taken', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    scene.server.intercept = () =>
      reply(200, { ...scene.server.mint('bob'), expiresIn: 3_600, serverTime: scene.server.now() });
    await scene.device.advance(57 * MINUTE);
    expect(actor.told).toHaveLength(0);
    expect(actor.manager.user?.id).toBe('ann');
  });

  it.each([404, 405])('%d on the path: told once, asked slowly, kept', async (status) => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    scene.server.intercept = () => reply(status, 'no such page', { 'content-type': 'text/html' });
    await scene.device.advance(3 * HOUR);
    expect(scene.server.refreshes.length).toBeLessThanOrEqual(126);
    expect(actor.errors).toHaveLength(1);
    expect(actor.errors[0]).toMatchObject({ kind: 'configuration', status, retryable: true });
    expect(actor.errors[0]?.message).toMatch(/^Network.*apiUrl/);
    expect(actor.ends).toHaveLength(0);
  });

  it.each([
    ['the header', () => problem(429, 'rate_limited', {}), { 'retry-after': '120' }],
    ['the document', () => problem(429, 'rate_limited', { retryAfterMs: 120_000 }), {}],
  ])('waits as long as %s asks for', async (_name, answer, headers: Record<string, string>) => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    let asked = 0;
    scene.server.intercept = () => {
      asked += 1;
      if (asked > 1) return undefined;
      const { status, headers: own, text } = answer();
      return { status, headers: { get: (name) => headers[name] ?? own.get(name) }, text };
    };
    await scene.device.advance(55.5 * MINUTE);
    expect(asked).toBe(1);
    scene.device.goOnline(true);
    await scene.device.advance(MINUTE);
    expect(asked).toBe(1);
    await scene.device.advance(MINUTE);
    expect(asked).toBe(2);
    expect(actor.errors).toHaveLength(0);
  });

  it('a request that hangs is given up after ten seconds and made again', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    scene.server.intercept = () => new Promise(() => {});
    await scene.device.advance(55.5 * MINUTE);
    scene.server.intercept = () => undefined;
    await scene.device.advance(15_000);
    expect(scene.server.refreshes.length).toBeGreaterThanOrEqual(2);
    expect(actor.manager.state).toBe('valid');
  });
});

describe('the end of a session', () => {
  it.each(FATAL_CODES)('%s is told once, and everything stops', async (code) => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    scene.server.intercept = () => problem(code === 'user_banned' ? 403 : 401, code);
    await scene.device.advance(5 * HOUR);
    expect(actor.errors).toHaveLength(1);
    expect(actor.errors[0]).toMatchObject({ kind: 'fatal', code, retryable: false, requestId: 'req_1' });
    expect(actor.errors[0]?.message).not.toContain('Network');
    expect(actor.ends).toEqual([code]);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(scene.device.timers.size).toBe(0);
    expect(actor.manager.state).toBe('ended');
    expect(actor.manager.tokens).toBeNull();
    await expect(actor.manager.getToken()).rejects.toMatchObject({ code });
  });

  it('survives a callback that throws, and one that rejects', async () => {
    for (const onRefreshError of [
      () => {
        throw new Error('mine');
      },
      () => Promise.reject(new Error('mine')),
    ]) {
      const scene = new Scene();
      const actor = scene.actor({ onRefreshError });
      await scene.start(actor);
      scene.server.intercept = () => problem(401, 'session_revoked');
      await scene.device.advance(HOUR);
      expect(actor.ends).toEqual(['session_revoked']);
    }
  });

  it('without a callback is logged once', async () => {
    const lines: string[] = [];
    const logger = { debug: () => {}, warn: () => {}, error: (line: string) => lines.push(line) };
    const scene = new Scene();
    await scene.start(scene.actor({ onRefreshError: undefined, logger }));
    scene.server.intercept = () => problem(401, 'refresh_token_expired');
    await scene.device.advance(HOUR);
    expect(lines).toEqual(['The session is over (refresh_token_expired): sign in again.']);
  });

  it('takes what is stored with it', async () => {
    const scene = new Scene();
    await scene.start(scene.actor());
    scene.server.intercept = () => problem(401, 'session_revoked');
    await scene.device.advance(HOUR);
    for (const storage of scene.device.storage.values())
      expect(JSON.stringify(storage.get())).not.toContain('eyJ');
  });

  it('comes to a token that nothing can replace when the server refuses it, and by no clock', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    const minted = scene.server.mint();
    await scene.start(actor, { ...minted, refreshToken: '' });
    await scene.device.advance(HOUR - 1_000);
    expect(actor.manager.state).toBe('valid');
    // It has ended by the clocks of this device, which may be wrong.
    await scene.device.advance(5 * HOUR);
    expect(actor.manager.state).toBe('expired');
    expect(await actor.manager.getToken()).toBe(minted.accessToken);
    expect(actor.ends).toEqual([]);
    const refused = actor.manager.getToken({ refused: minted.accessToken });
    await expect(refused).rejects.toMatchObject({ code: 'refresh_token_missing', kind: 'fatal' });
    expect(actor.ends).toEqual(['refresh_token_missing']);
    expect(actor.errors).toHaveLength(1);
    expect(scene.server.seen).toHaveLength(0);
    expect(scene.device.timers.size).toBe(0);
  });
});

describe('an answer that is not newer', () => {
  it.each([
    ['is a reply that a proxy kept', (kept: string) => kept],
    [
      'has a lower counter',
      (kept: string) => {
        const body = JSON.parse(kept);
        const [head, payload, signature] = body.accessToken.split('.');
        const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
        const lower = Buffer.from(JSON.stringify({ ...claims, rc: claims.rc - 10 * HOUR })).toString(
          'base64url',
        );
        return JSON.stringify({ ...body, accessToken: `${head}.${lower}.${signature}` });
      },
    ],
  ])('%s: tried again ever more slowly', async (_name, edit) => {
    const scene = new Scene();
    const actor = scene.actor();
    let kept: string | null = null;
    scene.server.intercept = async (seen) => {
      kept ??= await scene.server.answer(seen).text();
      return reply(200, edit(kept));
    };
    await scene.start(actor);
    await scene.device.advance(3 * HOUR);
    expect(scene.server.refreshes.length).toBeLessThan(3 * 60 * 3);
    expect(actor.errors).toHaveLength(1);
    expect(actor.errors[0]).toMatchObject({ kind: 'protocol' });
    expect(actor.ends).toEqual([]);
    scene.server.intercept = () => undefined;
    await scene.device.advance(2 * MINUTE);
    expect(actor.manager.state).toBe('valid');
  });
});

it('a page that is looked at over and over asks once in some seconds', async () => {
  const scene = new Scene();
  const actor = scene.actor();
  await scene.start(actor);
  scene.server.intercept = () => problem(503, 'unavailable');
  await scene.device.advance(56 * MINUTE);
  const before = scene.server.refreshes.length;
  actor.tab.resume();
  // It asks other tabs first.
  await scene.device.advance(200);
  expect(scene.server.refreshes).toHaveLength(before + 1);
  for (let n = 0; n < 200; n += 1) {
    actor.tab.resume();
    await scene.device.advance(300);
  }
  expect(scene.server.refreshes.length - before).toBeLessThanOrEqual(14);
});

it('whoever is refused with the pair of another tab while a refresh still runs gets another one', async () => {
  const scene = new Scene();
  const given = scene.server.mint();
  const actor = scene.actor();
  await scene.start(actor, given);
  let release = (): void => {};
  const held = new Promise<void>((resume) => {
    release = resume;
  });
  scene.server.intercept = () => {
    scene.server.intercept = () => undefined;
    return held.then(() => reply(500, 'down'));
  };
  await scene.device.advance(55 * MINUTE + 20_000);
  expect(scene.server.refreshes).toHaveLength(1);
  const other = scene.actor({}, (tab) => {
    tab.locks = false;
  });
  await scene.start(other, given);
  await scene.device.advance(5_000);
  const refused = actor.manager.tokens?.accessToken ?? '';
  expect(refused).toBe(other.manager.tokens?.accessToken);
  const another = actor.manager.tokenOtherThan(refused);
  release();
  await scene.device.advance(2 * MINUTE);
  expect(await another).toBe(actor.manager.tokens?.accessToken);
});
