/** Writes that were given up, and happen all the same: over what was written since, by this tab or by another one. */
import { expect, it } from 'vitest';
import type { StoredTokens, TokenStorage } from '../src/index.ts';
import { memoryStorage, sharedStorage } from './support/fake-platform.ts';
import { type Actor, HOUR, MINUTE, Scene } from './support/scene.ts';

/** `kept`, the next write of which waits for `land` or `fail` once `hang` was called; and what it is to write. */
function hanging(kept: TokenStorage) {
  let hangs = false;
  let end: ((error?: Error) => void) | null = null;
  const storage: TokenStorage = {
    ...kept,
    set: (value) => {
      if (!hangs) return kept.set(value);
      hangs = false;
      return new Promise<void>((resolve, reject) => {
        end = (error) => {
          if (error) return reject(error);
          void kept.set(value);
          resolve();
        };
      });
    },
  };
  return {
    storage,
    hang: (): void => {
      hangs = true;
    },
    land: (): void => end?.(),
    fail: (): void => end?.(new Error('broken')),
  };
}

it('one that fails in the end is waited for no longer', async () => {
  const scene = new Scene();
  const { storage, hang, fail } = hanging(memoryStorage());
  const given = scene.server.mint();
  const actor = scene.actor({ storage });
  await scene.start(actor, given);
  hang();
  await scene.device.advance(55.25 * MINUTE + 5_200);
  expect(actor.manager.state).toBe('stale');
  fail();
  await scene.device.advance(30_000);
  expect(actor.manager.state).toBe('valid');
  expect(actor.manager.tokens?.accessToken).not.toBe(given.accessToken);
});

it('one of the newest pair is found, and that used then', async () => {
  const scene = new Scene();
  const { storage, hang, land } = hanging(memoryStorage());
  const given = scene.server.mint();
  const actor = scene.actor({ storage });
  await scene.start(actor, given);
  hang();
  await scene.device.advance(55.25 * MINUTE + 5_200);
  expect(actor.manager.tokens?.accessToken).toBe(given.accessToken);
  expect(actor.manager.state).toBe('stale');
  land();
  await scene.device.advance(MINUTE);
  expect(actor.manager.state).toBe('valid');
  expect(scene.server.refreshes).toHaveLength(1);
});

it('one of an older pair does not take the place of a newer one of this tab', async () => {
  const scene = new Scene();
  const kept = memoryStorage();
  const { storage, hang, land } = hanging(kept);
  const actor = scene.actor({ storage });
  await scene.start(actor);
  hang();
  await scene.device.advance(2 * HOUR);
  land();
  await scene.device.settle();
  expect((kept.get() as StoredTokens).accessToken).toBe(actor.manager.tokens?.accessToken);
});

/** Two tabs that share `kept`; the write by which the first one saves its first new pair hangs. */
async function twoTabs(scene: Scene, channels: boolean) {
  const kept = sharedStorage();
  const { storage, hang, land } = hanging(kept);
  const given = scene.server.mint();
  const setUp = (tab: Actor['tab']): void => {
    tab.channels = channels;
  };
  // It goes first, and once it is in the background the other one goes on alone.
  const slow = scene.actor({ storage, refreshBufferMs: 10 * MINUTE, inUse: () => false }, setUp);
  const other = scene.actor({ storage: kept }, setUp);
  await scene.start(slow, given);
  await scene.start(other, given);
  hang();
  await scene.device.advance(56 * MINUTE);
  return { kept, slow, other, land };
}

it.each([true, false])(
  'one of an older pair gives way to what another tab got since (channel: %s)',
  async (channels) => {
    const scene = new Scene();
    const { kept, slow, other, land } = await twoTabs(scene, channels);
    slow.tab.visible = false;
    await scene.device.advance(HOUR);
    const newest = other.manager.tokens?.accessToken;
    expect(slow.manager.tokens?.accessToken).toBe(newest);
    land();
    await scene.device.settle();
    expect((kept.get() as StoredTokens).accessToken).toBe(newest);
  },
);

it.each([true, false])(
  'one of a pair gives way to a logout in another tab (channel: %s)',
  async (channels) => {
    const scene = new Scene();
    const { kept, slow, other, land } = await twoTabs(scene, channels);
    const done = other.manager.logout();
    await scene.device.advance(MINUTE);
    await done;
    expect(slow.ends).toEqual(['logged_out']);
    land();
    await scene.device.settle();
    expect(kept.text).not.toContain('accessToken');
  },
);
