/** When to refresh: pure functions of lifetimes, all in milliseconds. */
import { numberOf } from '../values.ts';

/** The longest a timer is set for; sleep, throttling and jumping clocks are noticed within it. */
export const TICK = 30_000;

/** No try that failed is repeated later than after this. */
export const LONGEST_PAUSE = 3_600_000;

/** Refuses what is not a time, instead of refreshing in a circle because of it. */
export function readBuffer(value: unknown): number {
  if (value === undefined) return 300_000;
  const buffer = numberOf(value) ?? -1;
  if (buffer < 0) throw new TypeError('refreshBufferMs has to be in milliseconds, 0 or more.');
  return buffer;
}

/** How long before its end a token of this life is refreshed. At least a sliver, even where 0 is asked for. */
export function effectiveBuffer(ttl: number, wanted: number): number {
  const sliver = Math.min(2_000, ttl * 0.1);
  return Math.max(sliver, Math.min(wanted, ttl * 0.5));
}

/** Added to the moment of refresh, so that clients which were minted together do not come together. */
export function jitter(buffer: number, random: number): number {
  return random * Math.min(30_000, buffer * 0.1);
}

/** How much later than a tab that somebody looks at a hidden one refreshes. */
export function patience(buffer: number): number {
  return Math.min(60_000, buffer * 0.2);
}

/**
 * How long after a pair was saved no tab asks for the next one, whatever happens. Longer than a request may be
 * old (15 s) and its estimate of the server's clock ahead (5 s) together: a request of a frozen tab that wakes
 * within it is told that it is stale, and never taken for a thief's.
 */
export function floor(ttl: number): number {
  return Math.max(Math.min(21_000, ttl / 4), ttl * 0.01);
}

/** How long to wait after `failures` failures in a row: full jitter, doubling up to `longest`. */
export function backoff(failures: number, random: number, longest = 60_000): number {
  const ceiling = Math.min(longest, 1_000 * 2 ** Math.min(failures - 1, 16));
  return Math.max(250, random * ceiling);
}
