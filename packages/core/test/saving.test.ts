/** The order of saving, telling and using a pair, and what becomes of one that cannot be saved. C25, C27. */
import { describe, expect, it } from 'vitest';
import type { TokenStorage, Tokens } from '../src/index.ts';
import { memoryStorage } from './support/fake-platform.ts';
import { HOUR, MINUTE, Scene } from './support/scene.ts';

describe('a pair that another tab has just saved', () => {
  it('is not presented at once, though it looks as if it had ended', async () => {
    const scene = new Scene();
    const minted = scene.server.mint();
    const other = scene.actor();
    await scene.start(other, minted);
    await scene.device.advance(56 * MINUTE);
    const newer = other.manager.tokens;
    other.manager.stop();
    const receivedAt = scene.device.wall;
    let reads = 0;
    const storage: TokenStorage = {
      ...memoryStorage(),
      get: () => {
        reads += 1;
        // The server's clock is not three hours ahead: whoever saved it was wrong.
        return reads === 1
          ? null
          : { v: 1, userID: 'ann', generation: 0, ...newer, receivedAt, offset: 3 * HOUR };
      },
    };
    const actor = scene.actor({ storage });
    const asked = scene.server.refreshes.length;
    await scene.start(actor, minted);
    await scene.device.advance(20_000);
    expect(scene.server.refreshes).toHaveLength(asked);
    await scene.device.advance(MINUTE);
    expect(scene.server.refreshes.length).toBeGreaterThan(asked);
    expect(actor.manager.state).toBe('valid');
    expect(actor.ends).toEqual([]);
  });
});

describe('a new pair', () => {
  it('is saved, then told, and only then used', async () => {
    const scene = new Scene();
    const order: string[] = [];
    const kept = memoryStorage();
    const old = scene.server.mint();
    const actor = scene.actor({
      storage: {
        ...kept,
        set: async (value) => {
          order.push(
            `save, using ${actor.manager.tokens?.accessToken === old.accessToken ? 'old' : 'other'}`,
          );
          await kept.set(value);
        },
      },
      onTokenRefresh: async () => {
        order.push(`tell, using ${actor.manager.tokens?.accessToken === old.accessToken ? 'old' : 'other'}`);
      },
    });
    await scene.start(actor, old);
    order.length = 0;
    await scene.device.advance(56 * MINUTE);
    expect(order).toEqual(['save, using old', 'tell, using old']);
    expect(actor.manager.tokens?.accessToken).not.toBe(old.accessToken);
  });

  it('is used after five seconds where the app does not come back from its callback', async () => {
    const scene = new Scene();
    const actor = scene.actor({ onTokenRefresh: () => new Promise(() => {}) });
    const old = scene.server.mint();
    await scene.start(actor, old);
    await scene.device.advance(55.25 * MINUTE);
    expect(actor.manager.tokens?.accessToken).toBe(old.accessToken);
    await scene.device.advance(5_200);
    expect(actor.manager.tokens?.accessToken).not.toBe(old.accessToken);
    expect(actor.storageErrors).toHaveLength(1);
  });

  it('is used though the callback throws, and the next one is told all the same', async () => {
    const scene = new Scene();
    let calls = 0;
    const actor = scene.actor({
      onTokenRefresh: () => {
        calls += 1;
        throw new Error('mine');
      },
    });
    await scene.start(actor);
    await scene.device.advance(2 * HOUR);
    expect(calls).toBe(2);
    expect(actor.manager.state).toBe('valid');
    expect(actor.errors).toEqual([]);
  });

  it('that was saved before the app was killed is there at the next start', async () => {
    const scene = new Scene();
    const old = scene.server.mint();
    const killed = scene.actor({ onTokenRefresh: () => new Promise(() => {}) });
    await scene.start(killed, old);
    await scene.device.advance(55.25 * MINUTE + 200);
    killed.manager.stop();
    scene.device.sleep(24 * HOUR);
    const next = scene.actor();
    await scene.start(next, old);
    await scene.device.advance(1_000);
    expect(next.ends).toEqual([]);
    expect(next.manager.state).toBe('valid');
  });
});

describe('a pair that cannot be saved', () => {
  /** A storage with a switch: what it does with writes, and whether it forgets. */
  function faulty() {
    const kept = memoryStorage();
    const faults = { set: 'none' as 'none' | 'full' | 'hangs', remove: true };
    const storage: TokenStorage = {
      get: () => kept.get(),
      set: (value) => {
        if (faults.set === 'hangs') return new Promise<void>(() => {});
        if (faults.set === 'full') throw new DOMException('full', 'QuotaExceededError');
        return kept.set(value);
      },
      remove: () => {
        if (!faults.remove) throw new Error('read-only');
        return kept.remove();
      },
    };
    return { kept, faults, storage };
  }

  /** The app is killed, and started again after the grace of the server, with what stands in the storage. */
  async function restart(scene: Scene, kept: TokenStorage, given: Tokens) {
    await scene.device.advance(2 * MINUTE);
    const next = scene.actor({ storage: kept });
    await scene.start(next, given);
    await scene.device.advance(HOUR);
    return next;
  }

  it.each(['full', 'hangs'] as const)(
    'is not used while an older one stands there (%s): a kill signs nobody out',
    async (fault) => {
      const scene = new Scene();
      const { kept, faults, storage } = faulty();
      const given = scene.server.mint();
      const actor = scene.actor({ storage });
      await scene.start(actor, given);
      faults.set = fault;
      faults.remove = false;
      await scene.device.advance(57 * MINUTE);
      expect(scene.server.refreshes.length).toBeGreaterThan(0);
      expect(actor.manager.tokens?.accessToken).toBe(given.accessToken);
      expect(actor.told).toEqual([]);
      expect(actor.storageErrors.length).toBeGreaterThan(0);
      // What is used, the server takes note of.
      scene.server.show(await actor.manager.getToken());
      actor.manager.stop();
      const next = await restart(scene, kept, given);
      expect(next.ends).toEqual([]);
      expect(next.manager.state).toBe('valid');
    },
  );

  it('is weather where it lasts longer than the old token, and passes', async () => {
    const scene = new Scene();
    const { faults, storage } = faulty();
    const actor = scene.actor({ storage });
    await scene.start(actor);
    faults.set = 'full';
    faults.remove = false;
    await scene.device.advance(2 * HOUR);
    expect(actor.manager.state).toBe('expired');
    expect(actor.ends).toEqual([]);
    expect(actor.errors).toHaveLength(1);
    expect(actor.errors[0]).toMatchObject({ kind: 'storage', code: 'storage_failed', retryable: true });
    expect(actor.errors[0]?.message).toMatch(/^Network/);
    faults.set = 'none';
    await scene.device.advance(2 * MINUTE);
    expect(actor.manager.state).toBe('valid');
  });

  it('is used once the older one is out of the storage', async () => {
    const scene = new Scene();
    const { kept, faults, storage } = faulty();
    const given = scene.server.mint();
    const actor = scene.actor({ storage });
    await scene.start(actor, given);
    faults.set = 'full';
    await scene.device.advance(56 * MINUTE);
    expect(kept.get()).toBeNull();
    expect(actor.manager.tokens?.accessToken).not.toBe(given.accessToken);
    expect(actor.manager.state).toBe('valid');
    await scene.device.advance(3 * HOUR);
    expect(actor.ends).toEqual([]);
    expect(actor.told.length).toBeGreaterThanOrEqual(3);
  });
});
