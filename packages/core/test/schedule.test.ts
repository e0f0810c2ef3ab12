/** When tokens are refreshed: C1, C2, C3, C5, C7, C58 and their neighbours. */
import { describe, expect, it } from 'vitest';
import { InvalidInputError } from '../src/index.ts';
import { backoff, effectiveBuffer, floor, jitter } from '../src/tokens/schedule.ts';
import { HOUR, MINUTE, Scene } from './support/scene.ts';

const DAY = 24 * HOUR;

describe('the moment of a refresh', () => {
  it('is five minutes and up to half a minute before the end of an hour', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    await scene.device.advance(55 * MINUTE - 1);
    expect(scene.server.seen).toHaveLength(0);
    await scene.device.advance(30_001);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(actor.told).toHaveLength(1);
    expect(actor.told[0]?.accessToken).toBe(actor.manager.tokens?.accessToken);
  });

  it.each([0, 0.25, 0.999])('is spread by chance %d, never before the buffer', async (random) => {
    const scene = new Scene();
    const actor = scene.actor({}, (tab) => {
      tab.random = random;
    });
    await scene.start(actor);
    await scene.device.advance(56 * MINUTE);
    const at = scene.server.refreshes[0]?.at ?? 0;
    expect(at).toBeGreaterThanOrEqual(55 * MINUTE);
    expect(at).toBeLessThanOrEqual(55.5 * MINUTE + 200);
  });

  it('follows a buffer of ten minutes', async () => {
    const scene = new Scene();
    await scene.start(scene.actor({ refreshBufferMs: 10 * MINUTE }));
    await scene.device.advance(50 * MINUTE - 1);
    expect(scene.server.refreshes).toHaveLength(0);
    await scene.device.advance(30_001);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('comes every half life where the buffer is as long as the life, and not in a storm', async () => {
    const scene = new Scene();
    scene.server.ttl = 5 * MINUTE;
    const actor = scene.actor();
    await scene.start(actor);
    await scene.device.advance(HOUR);
    const count = scene.server.refreshes.length;
    expect(count).toBeGreaterThanOrEqual(HOUR / 165_000 - 1);
    expect(count).toBeLessThanOrEqual(HOUR / 150_000);
    expect(actor.errors).toHaveLength(0);
  });

  it('keeps a token of three seconds alive', async () => {
    const scene = new Scene();
    scene.server.ttl = 3_000;
    const actor = scene.actor();
    await scene.start(actor);
    for (let second = 0; second < 60; second += 1) {
      await scene.device.advance(1_000);
      expect(['valid', 'refreshing']).toContain(actor.manager.state);
      expect(await actor.manager.getToken()).toBe(actor.manager.tokens?.accessToken);
    }
    expect(scene.server.refreshes.length).toBeLessThanOrEqual(40);
    expect(actor.errors).toHaveLength(0);
  });

  it.each([30 * DAY, 3_650 * DAY])('overflows no timer with a life of %d ms', async (ttl) => {
    const scene = new Scene();
    scene.server.ttl = ttl;
    const actor = scene.actor();
    await scene.start(actor);
    await scene.device.advance(DAY);
    expect(scene.server.refreshes).toHaveLength(0);
    expect(actor.manager.state).toBe('valid');
  });

  it('with a buffer of 0 is just before the end', async () => {
    const scene = new Scene();
    await scene.start(scene.actor({ refreshBufferMs: 0 }));
    await scene.device.advance(HOUR - 2_001);
    expect(scene.server.refreshes).toHaveLength(0);
    await scene.device.advance(2_001);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('follows a policy that shortens lives', async () => {
    const scene = new Scene();
    await scene.start(scene.actor());
    scene.server.ttl = 10 * MINUTE;
    await scene.device.advance(56 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(1);
    await scene.device.advance(6 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(2);
  });

  it('is at once where the stored pair has ended long ago', async () => {
    const scene = new Scene();
    const tokens = scene.server.mint();
    scene.device.sleep(3 * DAY);
    const actor = scene.actor();
    await scene.start(actor, tokens);
    await scene.device.advance(1_000);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(actor.manager.state).toBe('valid');
  });
});

describe('refreshBufferMs', () => {
  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, '300000', null])('may not be %s', (value) => {
    expect(() => new Scene().actor({ refreshBufferMs: value as number })).toThrow(TypeError);
  });
});

describe('the floor', () => {
  it('holds a forced refresh back until the pair is old enough', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    const refused = actor.manager.tokens?.accessToken ?? '';
    const other = actor.manager.tokenOtherThan(refused);
    await scene.device.advance(35_999);
    expect(scene.server.refreshes).toHaveLength(0);
    await scene.device.advance(500);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(await other).not.toBe(refused);
  });

  it('is 15 s, a quarter of a short life, or a hundredth of a long one', () => {
    expect(floor(3_000)).toBe(750);
    expect(floor(5 * MINUTE)).toBe(21_000);
    expect(floor(HOUR)).toBe(36_000);
  });

  it('and a bound on forced refreshes break a circle that a server would drive', async () => {
    const scene = new Scene();
    scene.server.ttl = 4_000;
    const actor = scene.actor();
    await scene.start(actor);
    // Whoever uses the tokens is told each time that they will not do.
    const complain = async (): Promise<void> => {
      for (;;) await actor.manager.tokenOtherThan(actor.manager.tokens?.accessToken ?? '');
    };
    complain().catch(() => {});
    await scene.device.advance(MINUTE);
    expect(scene.server.refreshes.length).toBeLessThanOrEqual(45);
    actor.manager.stop();
  });
});

describe('the arithmetic', () => {
  it('gives a buffer of at most half the life and at least a sliver', () => {
    expect(effectiveBuffer(HOUR, 5 * MINUTE)).toBe(5 * MINUTE);
    expect(effectiveBuffer(5 * MINUTE, 5 * MINUTE)).toBe(2.5 * MINUTE);
    expect(effectiveBuffer(HOUR, 0)).toBe(2_000);
    expect(effectiveBuffer(3_000, 0)).toBe(300);
  });

  it('spreads by at most 30 s or a tenth of the buffer', () => {
    expect(jitter(5 * MINUTE, 1)).toBe(30_000);
    expect(jitter(MINUTE, 1)).toBe(6_000);
  });

  it('backs off with full jitter, from a quarter of a second to a minute', () => {
    expect(backoff(1, 0)).toBe(250);
    expect(backoff(1, 1)).toBe(1_000);
    expect(backoff(4, 1)).toBe(8_000);
    expect(backoff(1_000, 1)).toBe(60_000);
  });
});

it('refuses a token of somebody else', async () => {
  const scene = new Scene();
  await expect(scene.actor().manager.start(scene.server.mint('bob'))).rejects.toBeInstanceOf(
    InvalidInputError,
  );
  expect(scene.server.seen).toHaveLength(0);
});
