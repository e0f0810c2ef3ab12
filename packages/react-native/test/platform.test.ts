/** What of React Native reaches the core. */
import { expect, it, vi } from 'vitest';
import { reactNativePlatform } from '../src/platform.ts';
import { FakeNetInfo } from './support/net-info.ts';
import { FakeAppState } from './support/react-native.ts';

it('resumes when the app becomes active, and is not visible in the background alone', () => {
  const appState = new FakeAppState();
  const { lifecycle } = reactNativePlatform({ appState });
  const resumed = vi.fn();
  const end = lifecycle.onResume(resumed);
  for (const state of ['inactive', 'background', 'inactive']) appState.become(state);
  expect(resumed).not.toHaveBeenCalled();
  expect(lifecycle.visible()).toBe(true);
  appState.become('active');
  expect(resumed).toHaveBeenCalledTimes(1);
  appState.become('background');
  expect(lifecycle.visible()).toBe(false);
  appState.currentState = null;
  expect(lifecycle.visible()).toBe(true);
  end();
  expect(appState.listeners.size).toBe(0);
});

it('without NetInfo does not claim to know', () => {
  const { network } = reactNativePlatform({ appState: new FakeAppState() });
  expect(network.online()).toBe(true);
  network.subscribe(() => {})();
});

it('hears changes of NetInfo, through one subscription', () => {
  const netInfo = new FakeNetInfo();
  const { network } = reactNativePlatform({ appState: new FakeAppState(), netInfo });
  expect(netInfo.listeners.size).toBe(0);
  const heard: boolean[] = [];
  const listener = (online: boolean): void => void heard.push(online);
  const undo = [network.subscribe(listener), network.subscribe(listener)];
  expect(netInfo.listeners.size).toBe(1);
  netInfo.become(true);
  expect(heard).toEqual([]);
  netInfo.become(false);
  expect(network.online()).toBe(false);
  netInfo.become(null);
  expect(network.online()).toBe(true);
  expect(heard).toEqual([false, false, true, true]);
  netInfo.become(false);
  for (const end of undo) end();
  expect(netInfo.listeners.size).toBe(0);
  // Nothing is known any more.
  expect(network.online()).toBe(true);
});

it('knows that the device is offline as soon as NetInfo says so', async () => {
  const netInfo = new FakeNetInfo();
  netInfo.become(false);
  const { network } = reactNativePlatform({ appState: new FakeAppState(), netInfo });
  network.subscribe(() => {});
  expect(network.online()).toBe(true);
  await Promise.resolve();
  expect(network.online()).toBe(false);
});

it('lets the holders of a lock take turns, also those of other clients', async () => {
  const one = reactNativePlatform({ appState: new FakeAppState() }).locks;
  const two = reactNativePlatform({ appState: new FakeAppState() }).locks;
  const order: string[] = [];
  let release = (): void => {};
  const first = one.hold('a', 5_000, async () => {
    await new Promise<void>((resume) => {
      release = resume;
    });
    order.push('first');
    throw new Error('and fails');
  });
  const second = two.hold('a', 5_000, async () => order.push('second'));
  await two.hold('b', 5_000, async () => order.push('elsewhere'));
  release();
  await expect(first).rejects.toThrow('and fails');
  await second;
  expect(order).toEqual(['elsewhere', 'first', 'second']);
});

it('does not wait for a lock for ever', async () => {
  const { locks } = reactNativePlatform({ appState: new FakeAppState() });
  let release = (): void => {};
  const stuck = locks.hold('a', 5_000, () => new Promise<void>((resume) => (release = resume)));
  await locks.hold('a', 1, async () => {});
  release();
  await stuck;
});

it('measures time without performance, too', () => {
  const { clock } = reactNativePlatform({ appState: new FakeAppState() });
  vi.stubGlobal('performance', undefined);
  expect(clock.mono()).toBeGreaterThan(1e12);
  vi.unstubAllGlobals();
  expect(clock.mono()).toBeLessThan(1e12);
});
