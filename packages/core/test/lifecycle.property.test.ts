/**
 * Whatever happens to the tabs of a device, nobody is signed out who did not log out, and nothing comes back for
 * who did. A failure prints its seed and the smallest list of events that leads to it.
 *
 * `LIFECYCLE_RUNS` (default 25) says how many lives are tried, `LIFECYCLE_SEED` which.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Circumstances, type Fault, Lifecycle, type Tab, WEATHER } from './support/lifecycle.ts';
import { FAULTS } from './support/world/place.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;

const runs = Number(process.env.LIFECYCLE_RUNS ?? 25);
const parameters = {
  numRuns: runs,
  ...(process.env.LIFECYCLE_SEED === undefined ? {} : { seed: Number(process.env.LIFECYCLE_SEED) }),
};
const timeout = 20_000 + runs * 2_000;

const tab = fc.nat({ max: 19 });
const weather: fc.Arbitrary<Fault>[] = [
  fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 2 * MINUTE }) }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: HOUR }) }),
  fc.record({ do: fc.constant('sleep' as const), ms: fc.integer({ min: 1, max: 2 * MINUTE }) }),
  fc.record({ do: fc.constant('sleep' as const), ms: fc.integer({ min: 1, max: 12 * HOUR }) }),
  fc.record({ do: fc.constant('shift' as const), ms: fc.integer({ min: -5 * HOUR, max: 5 * HOUR }) }),
  fc.record({
    do: fc.constant('weather' as const),
    of: fc.constantFrom(...WEATHER),
    requests: fc.integer({ min: 1, max: 12 }),
  }),
  fc.record({ do: fc.constant('online' as const), online: fc.boolean() }),
  fc.record({ do: fc.constantFrom('freeze', 'thaw', 'hide', 'show', 'use'), tab }),
  fc.record({ do: fc.constantFrom('restart', 'backup', 'restore') }),
];
const several = (...kinds: fc.Arbitrary<Fault>[]) =>
  fc.array(fc.oneof(...kinds), { maxLength: 30, size: 'max' });
const storage = (...kinds: (typeof FAULTS)[number][]) =>
  fc.record({ do: fc.constant('storage' as const), fault: fc.constantFrom(...kinds) });
const faults = several(
  ...weather,
  fc.record({ do: fc.constant('open' as const), tab }),
  fc.record({ do: fc.constant('kill' as const), tab, after: fc.nat({ max: 40 }) }),
  storage('slow', 'none', 'writes'),
);
/** What writes after it was given up, and after the lock was let go of, is at most one's own. */
const late = several(
  ...weather,
  fc.record({ do: fc.constant('open' as const), tab }),
  fc.record({ do: fc.constant('kill' as const), tab, after: fc.nat({ max: 40 }) }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 9_000 }) }),
  fc.record({ do: fc.constantFrom('show', 'use'), tab }),
  storage('late'),
  storage('late', 'slow', 'none', 'writes'),
);
/** Where the storage fails, what only it remembers is forgotten: the process has to live. */
const inTime = FAULTS.filter((fault) => fault !== 'late');
const failing = several(...weather, storage(...inTime), storage(...inTime));
const failingAlone = several(...weather, storage(...FAULTS), storage(...FAULTS));
const circumstances: fc.Arbitrary<Circumstances> = fc.record({
  tabs: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 20 })),
  locks: fc.boolean(),
  channel: fc.boolean(),
  events: fc.boolean(),
  ttl: fc.constantFrom(5 * MINUTE, 15 * MINUTE, HOUR),
  serverAhead: fc.oneof(fc.constant(0), fc.integer({ min: -5 * HOUR, max: 5 * HOUR })),
  seed: fc.integer(),
});

async function live(given: Circumstances, happened: readonly Fault[]): Promise<Lifecycle> {
  const life = new Lifecycle(given);
  await life.begin();
  for (const fault of happened) {
    await life.happen(fault);
    stays(life);
  }
  return life;
}

/** Nobody was signed out. */
function stays(life: Lifecycle): void {
  expect([...life.server.ended]).toEqual([]);
  for (const { ends } of life.tabs) expect(ends).toEqual([]);
}

describe('the tabs of a device', { timeout }, () => {
  it('are not signed out by anything that happens, and all work when it is over', async () => {
    await fc.assert(
      fc.asyncProperty(circumstances, faults, async (given, happened) => {
        const life = await live(given, happened);
        await life.awake();
        life.reopen();
        await life.device.advance(4 * MINUTE);
        stays(life);
        for (const { manager } of life.tabs) expect(['valid', 'refreshing']).toContain(manager.state);
        // A clock that was set back lets a token live longer than the server does: its refusal tells.
        if (life.refused.length > 0) {
          for (const nth of life.refused) await life.happen({ do: 'use', tab: nth });
          await life.device.advance(MINUTE);
        }
        expect(life.refused).toEqual([]);
        stays(life);
        expect(life.busiestMinute).toBeLessThanOrEqual(30 * given.tabs);

        // And then they ask about as often as one tab would.
        const before = life.refreshes.length;
        await life.device.advance(4 * given.ttl);
        stays(life);
        expect(life.refreshes.length - before).toBeLessThanOrEqual(2 * 9 + given.tabs);
      }),
      parameters,
    );
  });

  it('are not signed out by a storage that none of them can use, and all work when it is over', async () => {
    await fc.assert(
      fc.asyncProperty(circumstances, failing, async (given, happened) => {
        const life = await live(given, happened);
        await life.awake();
        await life.device.advance(7 * MINUTE);
        stays(life);
        for (const { manager } of life.tabs) expect(['valid', 'refreshing']).toContain(manager.state);
        expect(life.busiestMinute).toBeLessThanOrEqual(30 * given.tabs);
      }),
      parameters,
    );
  });

  it('one by itself is not signed out by a storage that fails, and works when it is over', async () => {
    await fc.assert(
      fc.asyncProperty(circumstances, failingAlone, async (given, happened) => {
        const life = await live({ ...given, tabs: 1 }, happened);
        await life.awake();
        await life.device.advance(7 * MINUTE);
        stays(life);
        expect(['valid', 'refreshing']).toContain(life.tabs[0]?.manager.state);
        expect(life.busiestMinute).toBeLessThanOrEqual(30);
      }),
      parameters,
    );
  });

  it('one by itself is not signed out by what is written after it was given up, however often it starts anew', async () => {
    await fc.assert(
      fc.asyncProperty(circumstances, late, async (given, happened) => {
        const life = await live({ ...given, tabs: 1 }, happened);
        // At once: the next refresh would save a newer pair.
        await life.happen({ do: 'kill', tab: 0, after: 0 });
        await life.happen({ do: 'sleep', ms: 2 * HOUR });
        await life.awake();
        life.reopen();
        await life.device.advance(7 * MINUTE);
        stays(life);
        expect(['valid', 'refreshing']).toContain(life.tabs[0]?.manager.state);
      }),
      parameters,
    );
  });

  it('bring nothing back after a logout', async () => {
    await fc.assert(
      fc.asyncProperty(circumstances, faults, fc.nat({ max: 19 }), async (given, happened, nth) => {
        const life = await live(given, happened);
        const { manager, process } = life.tabs[nth % given.tabs] as Tab;
        fc.pre(process.alive && manager.tokens !== null);
        process.atPoint = () => {};
        await process.thaw();
        life.place.fault = 'none';
        // Tabs that are only just opening are a new sign-in.
        for (const one of life.tabs) if (one.manager.tokens === null) one.process.kill();
        await life.device.settle();
        fc.pre(manager.tokens !== null);

        void manager.logout();
        expect(manager.tokens).toBeNull();
        await life.device.advance(MINUTE);
        await life.awake();
        await life.device.advance(2 * given.ttl);
        for (const one of life.tabs.filter((each) => each.process.alive))
          expect(one.manager.tokens).toBeNull();
        const { record } = life.place;
        expect(record?.accessToken).toBeUndefined();
        // The server knows, or will be told at the next start.
        expect(life.server.ended.has('s') || record?.revoke?.length === 1).toBe(true);
      }),
      parameters,
    );
  });
});
