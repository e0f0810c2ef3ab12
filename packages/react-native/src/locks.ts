/** Locks between the clients of one app. It has one JavaScript realm, so that a queue in memory is enough. */
import type { Locks, Timers } from '@chatsdk/core';

/** The last holder of each lock that is held. Shared by all clients, which is what a lock is for. */
const tails = new Map<string, Promise<unknown>>();

/** Locks whose waiting is bounded by `timers`. */
export function appLocks(timers: Timers): Locks {
  return {
    async hold(name, waitMs, fn) {
      const before = tails.get(name);
      const turn = before === undefined ? fn() : atMost(timers, waitMs, before).then(fn);
      const tail = turn.then(nothing, nothing);
      tails.set(name, tail);
      try {
        return await turn;
      } finally {
        if (tails.get(name) === tail) tails.delete(name);
      }
    },
  };
}

/** Resolves with `work`, which does not reject, or after `ms`. */
export function atMost(timers: Timers, ms: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resume) => {
    const cancel = timers.after(ms, resume);
    void work.then(() => {
      cancel();
      resume();
    });
  });
}

export function nothing(): void {}
