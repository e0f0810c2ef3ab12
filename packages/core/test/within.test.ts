/** The bound of what others promise. */
import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { TimeoutError, within } from '../src/within.ts';
import { Device, Tab } from './support/fake-platform.ts';

it('tells what takes too long that nobody waits for it, and forgets it', async () => {
  const device = new Device();
  const outer = new AbortController();
  const signals: AbortSignal[] = [];
  const hang = (signal: AbortSignal): Promise<void> => {
    signals.push(signal);
    return new Promise(() => {});
  };
  const outcome = within(new Tab(device).platform.timers, 1_000, hang, outer.signal).catch((error) => error);
  await device.advance(999);
  expect(signals[0]?.aborted).toBe(false);
  await device.advance(1);
  expect(await outcome).toBeInstanceOf(TimeoutError);
  expect(signals[0]?.aborted).toBe(true);
  expect(getEventListeners(outer.signal, 'abort')).toEqual([]);
  expect(device.timers.size).toBe(0);
});

it('tells it as soon as whoever asked leaves, too', async () => {
  const outer = new AbortController();
  const refuse = (signal: AbortSignal): Promise<void> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error('given up')));
    });
  const outcome = within(new Tab(new Device()).platform.timers, 1_000, refuse, outer.signal);
  outer.abort();
  await expect(outcome).rejects.toThrow('given up');
});
