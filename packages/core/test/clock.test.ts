/** Sleep, throttled timers and clocks that are wrong: C31–C33, C61, C62, §4.8. */
import { describe, expect, it } from 'vitest';
import { problem } from './support/fake-platform.ts';
import { HOUR, MINUTE, Scene } from './support/scene.ts';

describe('after a sleep', () => {
  it.each([8 * HOUR, 3 * 24 * HOUR])('of %d ms it refreshes at once, with one request', async (ms) => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    scene.device.sleep(ms);
    actor.tab.resume();
    await scene.device.advance(1_000);
    expect(scene.server.refreshes).toHaveLength(1);
    expect(actor.manager.state).toBe('valid');
  });

  it('that nobody told of it refreshes within a tick', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    await scene.device.advance(10 * MINUTE);
    scene.device.sleep(HOUR);
    await scene.device.advance(31_000);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('without a network it keeps the session, and comes back with one refresh', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    scene.server.intercept = () => {
      throw new TypeError('Failed to fetch');
    };
    scene.device.sleep(30 * MINUTE);
    scene.device.goOnline(false);
    actor.tab.resume();
    await scene.device.advance(2 * HOUR);
    expect(actor.ends).toEqual([]);
    scene.server.intercept = () => undefined;
    const before = scene.server.refreshes.length;
    scene.device.goOnline(true);
    await scene.device.advance(3_100);
    expect(scene.server.refreshes.length - before).toBe(1);
    expect(actor.manager.state).toBe('valid');
  });

  it('a reply that slept on the way is thrown away and asked for again', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    let slept = false;
    scene.server.intercept = (seen) => {
      if (slept) return undefined;
      slept = true;
      const answer = scene.server.answer(seen);
      scene.device.sleep(20_000);
      return answer;
    };
    await scene.device.advance(56 * MINUTE);
    expect(scene.server.refreshes).toHaveLength(2);
    expect(scene.server.refreshes[1]?.body.refreshToken).toBe(scene.server.refreshes[0]?.body.refreshToken);
    expect(actor.manager.state).toBe('valid');
    expect(actor.told).toHaveLength(1);
  });
});

describe('in the background', () => {
  it('a hidden tab without a socket asks for nothing, and refreshes when it is shown', async () => {
    const scene = new Scene();
    const actor = scene.actor({ inUse: () => false }, (tab) => {
      tab.visible = false;
    });
    await scene.start(actor);
    await scene.device.advance(3 * HOUR);
    expect(scene.server.refreshes).toHaveLength(0);
    actor.tab.visible = true;
    actor.tab.resume();
    await scene.device.advance(1_000);
    expect(scene.server.refreshes).toHaveLength(1);
  });

  it('a hidden tab lets one that somebody looks at go first', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const hidden = scene.actor({}, (tab) => {
      tab.visible = false;
      tab.random = 0;
      tab.locks = false;
    });
    const shown = scene.actor({}, (tab) => {
      tab.random = 0.999;
    });
    let asked = '';
    const watch = (actor: typeof shown, name: string): void => {
      const { fetch } = actor.tab;
      actor.tab.fetch = (url, init) => {
        asked += name;
        return fetch(url, init);
      };
    };
    watch(hidden, 'hidden');
    watch(shown, 'shown');
    await scene.start(hidden, minted);
    await scene.start(shown, minted);
    await scene.device.advance(57 * MINUTE);
    expect(asked).toBe('shown');
    expect(hidden.manager.tokens?.accessToken).toBe(shown.manager.tokens?.accessToken);
    // Left alone, it sees to itself.
    shown.manager.stop();
    await scene.device.advance(HOUR);
    expect(asked).toBe('shownhidden');
    expect(hidden.manager.state).toBe('valid');
  });

  it('timers that come a quarter of an hour late cost the first caller one refresh', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    await scene.device.advance(54 * MINUTE);
    scene.device.sleep(15 * MINUTE);
    const token = actor.manager.getToken();
    await scene.device.advance(500);
    expect(await token).toBe(actor.manager.tokens?.accessToken);
    expect(scene.server.refreshes).toHaveLength(1);
  });
});

describe('a device whose clock is wrong', () => {
  it.each([-2 * HOUR, -10 * MINUTE, 10 * MINUTE, 2 * HOUR])(
    'by %d ms is never signed out, and asks seldom',
    async (ahead) => {
      const scene = new Scene();
      scene.server.ahead = ahead;
      const actor = scene.actor();
      await scene.start(actor);
      await scene.device.advance(6 * HOUR);
      expect(actor.ends).toEqual([]);
      expect(actor.errors).toEqual([]);
      expect(actor.manager.state).toBe('valid');
      // One a cycle; and one more, with its correction, where the device took a fresh token for an old one.
      expect(scene.server.refreshes.length).toBeLessThanOrEqual(6 + 4);
    },
  );

  it('is corrected by request_stale, and remembers', async () => {
    const scene = new Scene();
    scene.server.ahead = 2 * HOUR;
    const actor = scene.actor();
    await scene.start(actor);
    await scene.device.advance(56 * MINUTE);
    const [first, second] = scene.server.refreshes;
    expect(scene.server.refreshes).toHaveLength(2);
    const corrected = Number(second?.body.sentAt) - Number(first?.body.sentAt);
    expect(Math.abs(corrected - 2 * HOUR)).toBeLessThan(1_000);
    await scene.device.advance(HOUR);
    expect(scene.server.refreshes).toHaveLength(3);

    const next = scene.actor();
    const tokens = actor.manager.tokens;
    actor.manager.stop();
    if (tokens !== null) await scene.start(next, tokens);
    await scene.device.advance(HOUR);
    expect(scene.server.refreshes).toHaveLength(4);
  });

  it('is never signed out by request_stale, however often it comes', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    scene.server.intercept = () => problem(408, 'request_stale', { serverTime: 1 });
    await scene.device.advance(3 * HOUR);
    expect(actor.ends).toEqual([]);
    expect(actor.errors).toHaveLength(1);
    expect(actor.errors[0]?.message).toMatch(/^Network/);
    scene.server.intercept = () => undefined;
    await scene.device.advance(2 * MINUTE);
    expect(actor.manager.state).toBe('valid');
  });

  it('survives a clock that jumps while it runs', async () => {
    const scene = new Scene();
    const actor = scene.actor();
    await scene.start(actor);
    for (const jump of [5 * HOUR, -9 * HOUR, 24 * HOUR, -20 * HOUR]) {
      scene.device.wall += jump;
      scene.server.ahead -= jump;
      await scene.device.advance(2 * HOUR);
      expect(actor.ends).toEqual([]);
      expect(actor.errors).toEqual([]);
      expect(actor.manager.state).toBe('valid');
    }
    expect(scene.server.refreshes.length).toBeLessThanOrEqual(24);
  });
});
