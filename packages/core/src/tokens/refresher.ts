/** Runs the refreshes of one user: not too early, one tab at a time, and until somebody gives it up. */
import type { Platform } from '../platform/platform.ts';
import { attempt, type Outcome } from './attempt.ts';
import type { TokenManagerOptions } from './events.ts';
import { age, type Clocks } from './pair.ts';
import type { Peers } from './peers.ts';
import { requestFromHost, requestPair, troubled } from './request.ts';
import { floor } from './schedule.ts';
import type { Timetable } from './timetable.ts';
import type { Pair } from './types.ts';
import type { Vault } from './vault.ts';

/** How long another tab's refresh is waited for, in ms. */
const LOCK_WAIT = 5_000;

/** The session that is refreshed, as it stands at each moment. */
export interface Refreshed {
  readonly peers: Peers;
  /** False once it was closed. */
  live(): boolean;
  /** The pair in use. */
  current(): Pair | null;
  /** The same, or a newer one that another tab told of. */
  newest(): Pair | null;
  /** Whether anything can be got in exchange for `pair`. */
  canRefresh(pair: Pair): boolean;
}

export type Refresher = ReturnType<typeof makeRefresher>;

/** @param lock the name of the lock that the tabs of the user share */
export function makeRefresher(
  { apiUrl, userID, refreshTokens }: TokenManagerOptions,
  platform: Platform,
  clocks: Clocks,
  vault: Vault,
  timetable: Timetable,
  lock: string,
) {
  let abort = new AbortController();
  let wake = (): void => {};

  /** Waits, unless a new pair or the end comes first. */
  async function pause(ms: number): Promise<void> {
    if (ms <= 0) return;
    await new Promise<void>((resume) => {
      const cancel = platform.timers.after(Math.min(ms, 2 ** 31 - 1), resume);
      wake = () => {
        cancel();
        resume();
      };
    });
  }

  return {
    /** Gets a pair newer than `old`. `stopped` where that is not wanted any more. */
    async run(old: Pair, session: Refreshed): Promise<Outcome> {
      await pause(floor(old.ttl) - age(old, clocks.device));
      if (!session.live() || session.current() !== old) return { kind: 'stopped' };
      if (!timetable.mayForce(old)) {
        return troubled('protocol', 'the token was refused too often', { retryAfterMs: 60_000 });
      }
      const { signal } = abort;
      // The lock is released before anything of the host's is called.
      return platform.locks.hold(lock, LOCK_WAIT, () =>
        attempt(clocks, vault, session, old, (pair, stamp) =>
          refreshTokens === undefined
            ? requestPair(platform, apiUrl, userID, pair.tokens.refreshToken, clocks, stamp, signal)
            : requestFromHost(platform, refreshTokens, userID, clocks, stamp, signal),
        ),
      );
    },

    /** There is a newer pair: what still waits for its moment has nothing to do. */
    wake: (): void => wake(),

    /** Gives everything up. */
    stop(): void {
      wake();
      abort.abort();
      abort = new AbortController();
    },
  };
}
