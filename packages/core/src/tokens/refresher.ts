/** Runs the refreshes of one user: not too early, one tab at a time, and until somebody gives it up. */
import type { Platform } from '../platform/platform.ts';
import { within } from '../within.ts';
import { attempt, type Outcome, troubled } from './attempt.ts';
import type { TokenManagerOptions } from './events.ts';
import { age, type Clocks } from './pair.ts';
import type { Peers } from './peers.ts';
import { requestFromHost, requestPair, type Stamp, type Verdict } from './request.ts';
import { floor } from './schedule.ts';
import type { Timetable } from './timetable.ts';
import type { Pair } from './types.ts';
import type { Vault } from './vault.ts';

/** How long another tab's refresh is waited for, in ms. */
const LOCK_WAIT = 5_000;
/** How long the host's `refreshTokens` is waited for, in ms. */
const HOST_TIMEOUT = 10_000;

export interface RefresherParts {
  readonly options: TokenManagerOptions;
  readonly platform: Platform;
  readonly clocks: Clocks;
  readonly vault: Vault;
  readonly timetable: Timetable;
  /** The name of the lock that the tabs of the user share. */
  readonly lock: string;
}

/** The session that is refreshed, as it stands at each moment. */
export interface Refreshed {
  readonly peers: Peers;
  /** False once it was closed. */
  live(): boolean;
  /** The pair in use. */
  current(): Pair | null;
  /** The same, or a newer one that another tab told of. */
  newest(): Pair | null;
}

export class Refresher {
  readonly #parts: RefresherParts;
  #abort = new AbortController();
  #wake = (): void => {};

  constructor(parts: RefresherParts) {
    this.#parts = parts;
  }

  /** Gets a pair newer than `old`. `stopped` where that is not wanted any more. */
  async run(old: Pair, session: Refreshed): Promise<Outcome> {
    const { platform, clocks, vault, timetable, lock } = this.#parts;
    await this.#pause(floor(old.ttl) - age(old, clocks.device));
    if (!session.live() || session.current() !== old) return { kind: 'stopped' };
    if (!timetable.mayForce(old)) {
      return troubled('protocol', 'the token was refused too often', 60_000);
    }
    const { signal } = this.#abort;
    // The lock is released before anything of the host's is called.
    return await platform.locks.hold(lock, LOCK_WAIT, () =>
      attempt(
        {
          clock: clocks.device,
          vault,
          peers: session.peers,
          current: () => session.newest(),
          present: (pair, stamp) => this.#present(pair, stamp, signal),
          stamp: () => {
            const { device, server } = clocks;
            return { server: Math.round(server.now()), wall: device.wall(), mono: device.mono() };
          },
          live: () => session.live(),
        },
        old,
      ),
    );
  }

  /** There is a newer pair: what still waits for its moment has nothing to do. */
  wake(): void {
    this.#wake();
  }

  /** Gives everything up. */
  stop(): void {
    this.#wake();
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  #present(pair: Pair, stamp: Stamp, signal: AbortSignal): Promise<Verdict> {
    const { platform, clocks, options } = this.#parts;
    const { apiUrl, userID, refreshTokens } = options;
    if (refreshTokens !== undefined) {
      return requestFromHost(() => within(platform.timers, HOST_TIMEOUT, refreshTokens), userID, clocks);
    }
    return requestPair(platform, apiUrl, userID, pair.tokens.refreshToken, clocks, stamp, signal);
  }

  /** Waits, unless a new pair or the end comes first. */
  async #pause(ms: number): Promise<void> {
    if (ms <= 0) return;
    await new Promise<void>((resume) => {
      const cancel = this.#parts.platform.timers.after(Math.min(ms, 2 ** 31 - 1), resume);
      this.#wake = () => {
        cancel();
        resume();
      };
    });
    this.#wake = () => {};
  }
}
