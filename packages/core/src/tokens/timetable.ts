/** When the pair in use is refreshed: its due moment, and the retries after failures. */
import type { Platform } from '../platform/platform.ts';
import { elapsed } from './pair.ts';
import { effectiveBuffer, jitter, patience, TICK } from './schedule.ts';
import type { Pair } from './types.ts';

/** No retry is further away than this, in ms. */
const LONGEST_PAUSE = 3_600_000;
/** So many refreshes in a minute may be forced before they are due. */
const EARLY_PER_MINUTE = 10;
/** So long after a retry was brought forward no other one is, in ms: focus and networks flap. */
const CALM = 5_000;

export interface TimetableParts {
  readonly platform: Platform;
  /** How long before its end a token is refreshed, in ms, where its life allows it. */
  readonly buffer: number;
  /** Whether anything can be got in exchange for `pair`. */
  canRefresh(pair: Pair): boolean;
  /** Whether the token is in use though nobody is looking. */
  inUse(): boolean;
  /** It is time. */
  go(): void;
}

export class Timetable {
  readonly #parts: TimetableParts;
  #pair: Pair | null = null;
  /** Drawn once for each pair. */
  #jitter = 0;
  /** A refresh runs. */
  #busy = false;
  #cancelTick = (): void => {};
  #cancelRetry: (() => void) | null = null;
  /** Not before this moment of the monotonic clock may a retry come, online or not: the server said so. */
  #retryNotBefore = 0;
  #retryAt = 0;
  #calmUntil = 0;
  #early: number[] = [];

  constructor(parts: TimetableParts) {
    this.#parts = parts;
  }

  /** Whether the last refresh failed and the next one waits its turn. */
  get pausing(): boolean {
    return this.#cancelRetry !== null;
  }

  /** Follows `pair` from now on. What waited for a retry is over. */
  follow(pair: Pair): void {
    const { platform, buffer } = this.#parts;
    this.#pair = pair;
    this.#jitter = jitter(effectiveBuffer(pair.ttl, buffer), platform.random());
    this.#dropRetry();
    this.tick();
  }

  /** A refresh begins: nothing else does until {@link done}. */
  begin(): void {
    this.#busy = true;
    this.#cancelTick();
    this.#dropRetry();
  }

  /** The refresh is over, whatever came of it. */
  done(): void {
    this.#busy = false;
    this.tick();
  }

  /** Lets go of everything. */
  stop(): void {
    this.#pair = null;
    this.#busy = false;
    this.#cancelTick();
    this.#dropRetry();
  }

  /** When `pair` is to be refreshed, in ms since it was taken up. */
  due(pair: Pair): number {
    if (!this.#parts.canRefresh(pair)) return pair.left;
    return pair.left - effectiveBuffer(pair.ttl, this.#parts.buffer) + this.#jitter;
  }

  /** How long until the refresh of `pair`, or the retry of one that failed, in ms. */
  next(pair: Pair): number {
    const { clock } = this.#parts.platform;
    return this.pausing ? this.#retryAt - clock.mono() : this.due(pair) - elapsed(pair, clock);
  }

  /** Looks whether it is time. Never sets a long timer: sleep, throttling and jumps show within a tick. */
  tick(): void {
    this.#cancelTick();
    const pair = this.#pair;
    if (pair === null || this.#busy || this.pausing) return;
    const { platform, inUse, go } = this.#parts;
    const hidden = !platform.lifecycle.visible();
    const idle = hidden && !inUse();
    // A tab that somebody looks at goes first; what it gets is this one's too.
    const courtesy = hidden ? patience(effectiveBuffer(pair.ttl, this.#parts.buffer)) : 0;
    const wait = this.due(pair) + courtesy - elapsed(pair, platform.clock);
    if (wait <= 0 && !idle) {
      go();
      return;
    }
    // Whole milliseconds, or rounding could leave a remainder that no clock can show to have passed.
    const next = wait > 0 ? Math.min(Math.ceil(wait), TICK) : TICK;
    this.#cancelTick = platform.timers.after(next, () => this.tick());
  }

  /** Tries again in `delay` ms, and never before `least` ms have passed. */
  retryIn(delay: number, least: number): void {
    this.#retryNotBefore = this.#parts.platform.clock.mono() + least;
    this.#setRetry(delay);
  }

  /** It may have slept, or the network is back: what waits for a retry goes `delay` ms from now. */
  resume(delay: number): void {
    if (this.#pair === null) return;
    if (!this.pausing) {
      this.tick();
      return;
    }
    const now = this.#parts.platform.clock.mono();
    const wait = Math.max(delay, this.#retryNotBefore - now, this.#calmUntil - now);
    if (wait >= this.#retryAt - now) return;
    this.#calmUntil = now + wait + CALM;
    this.#setRetry(wait);
  }

  /** Counts refreshes that come before they are due, and stops them when something drives them in a circle. */
  mayForce(pair: Pair): boolean {
    const { clock } = this.#parts.platform;
    const now = clock.mono();
    if (elapsed(pair, clock) >= this.due(pair)) return true;
    this.#early = this.#early.filter((at) => now - at < 60_000);
    if (this.#early.length >= EARLY_PER_MINUTE) return false;
    this.#early.push(now);
    return true;
  }

  #setRetry(delay: number): void {
    this.#dropRetry();
    const { clock, timers } = this.#parts.platform;
    const pause = Math.min(delay, LONGEST_PAUSE);
    this.#retryAt = clock.mono() + pause;
    this.#cancelRetry = timers.after(pause, () => {
      this.#cancelRetry = null;
      this.#parts.go();
    });
  }

  #dropRetry(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
  }
}
