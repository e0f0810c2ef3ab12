/** When the pair in use is refreshed: its due moment, and the retries after failures. */
import type { Platform } from '../platform/platform.ts';
import { elapsed } from './pair.ts';
import { effectiveBuffer, jitter, LONGEST_PAUSE, patience, TICK } from './schedule.ts';
import type { Pair } from './types.ts';

/** So many refreshes in a minute may be forced before they are due. */
const EARLY_PER_MINUTE = 10;
/** So long after a retry was brought forward no other one is, in ms: focus and networks flap. */
const CALM = 5_000;

/** Says when it is time; see {@link makeTimetable}. */
export type Timetable = ReturnType<typeof makeTimetable>;

/**
 * @param buffer how long before its end a token is refreshed, in ms, where its life allows it
 * @param canRefresh whether anything can be got in exchange for a pair
 * @param inUse whether the token is in use though nobody is looking
 * @param go it is time
 */
export function makeTimetable(
  { clock, lifecycle, random, timers }: Platform,
  buffer: number,
  canRefresh: (pair: Pair) => boolean,
  inUse: () => boolean,
  go: () => void,
) {
  let followed: Pair | null = null;
  /** Drawn once for each pair. */
  let drawn = 0;
  /** A refresh runs. */
  let busy = false;
  let cancelTick = (): void => {};
  let cancelRetry: (() => void) | null = null;
  /** Not before this moment of the monotonic clock may a retry come, online or not: the server said so. */
  let retryNotBefore = 0;
  let retryAt = 0;
  let calmUntil = 0;
  let early: number[] = [];

  const bufferOf = (pair: Pair): number => effectiveBuffer(pair.ttl, buffer);

  /** When `pair` is to be refreshed, in ms since it was taken up. */
  function due(pair: Pair): number {
    return canRefresh(pair) ? pair.left - bufferOf(pair) + drawn : pair.left;
  }

  /** Looks whether it is time. Never sets a long timer: sleep, throttling and jumps show within a tick. */
  function tick(): void {
    cancelTick();
    if (followed === null || busy || cancelRetry !== null) return;
    const hidden = !lifecycle.visible();
    const idle = hidden && !inUse();
    // A tab that somebody looks at goes first; what it gets is this one's too.
    const courtesy = hidden ? patience(bufferOf(followed)) : 0;
    const wait = due(followed) + courtesy - elapsed(followed, clock);
    if (wait <= 0 && !idle) {
      go();
      return;
    }
    // Whole milliseconds, or rounding could leave a remainder that no clock can show to have passed.
    const next = wait > 0 ? Math.min(Math.ceil(wait), TICK) : TICK;
    cancelTick = timers.after(next, tick);
  }

  function setRetry(delay: number): void {
    dropRetry();
    const pause = Math.min(delay, LONGEST_PAUSE);
    retryAt = clock.mono() + pause;
    cancelRetry = timers.after(pause, () => {
      cancelRetry = null;
      go();
    });
  }

  function dropRetry(): void {
    cancelRetry?.();
    cancelRetry = null;
  }

  return {
    /** Whether the last refresh failed and the next one waits its turn. */
    get pausing(): boolean {
      return cancelRetry !== null;
    },

    /** Follows `pair` from now on. What waited for a retry is over. */
    follow(pair: Pair): void {
      followed = pair;
      drawn = jitter(bufferOf(pair), random());
      dropRetry();
      tick();
    },

    /** A refresh begins: nothing else does until {@link done}. */
    begin(): void {
      busy = true;
      cancelTick();
      dropRetry();
    },

    /** The refresh is over, whatever came of it. */
    done(): void {
      busy = false;
      tick();
    },

    /** Lets go of everything. */
    stop(): void {
      followed = null;
      busy = false;
      cancelTick();
      dropRetry();
    },

    /** How long until the refresh of `pair`, or the retry of one that failed, in ms. */
    next: (pair: Pair): number =>
      cancelRetry === null ? due(pair) - elapsed(pair, clock) : retryAt - clock.mono(),

    /** Tries again in `delay` ms, and never before `least` ms have passed. */
    retryIn(delay: number, least: number): void {
      retryNotBefore = clock.mono() + least;
      setRetry(delay);
    },

    /** It may have slept, or the network is back: what waits for a retry goes `delay` ms from now. */
    resume(delay: number): void {
      if (followed === null) return;
      if (cancelRetry === null) {
        tick();
        return;
      }
      const now = clock.mono();
      const wait = Math.max(delay, retryNotBefore - now, calmUntil - now);
      if (wait >= retryAt - now) return;
      calmUntil = now + wait + CALM;
      setRetry(wait);
    },

    /** Counts refreshes that come before they are due, and stops them when something drives them in a circle. */
    mayForce(pair: Pair): boolean {
      const now = clock.mono();
      if (elapsed(pair, clock) >= due(pair)) return true;
      early = early.filter((at) => now - at < 60_000);
      if (early.length >= EARLY_PER_MINUTE) return false;
      early.push(now);
      return true;
    },
  };
}
