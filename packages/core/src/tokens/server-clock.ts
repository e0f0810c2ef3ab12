/** The server's time, estimated from its replies. The device's own clock is never compared with `exp`. */
import type { Clock } from '../platform/platform.ts';
import { numberOf } from '../values.ts';

export type ServerClock = ReturnType<typeof makeServerClock>;

export function makeServerClock(clock: Clock) {
  let ahead = 0;
  return {
    /** Milliseconds since the Unix epoch, by the server. */
    now: (): number => clock.wall() + ahead,

    /** How far the server is ahead of this device, in ms. */
    get offset(): number {
      return ahead;
    },

    /** Takes up an estimate that an earlier run, or another tab, stored. */
    assume(offset = ahead): void {
      ahead = offset;
    },

    /**
     * Learns from a reply that gave `serverTime`. Slow replies are ignored: they could be off by half of
     * what they took.
     * @param sentWall the device's wall clock when the request left
     * @param tookMs how long the reply took
     */
    learn(serverTime: unknown, sentWall: number, tookMs: number): void {
      const time = numberOf(serverTime) ?? 0;
      if (time > 0 && tookMs <= 10_000) ahead = time - (sentWall + tookMs / 2);
    },
  };
}
