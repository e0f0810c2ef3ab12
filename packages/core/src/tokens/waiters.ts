/** Callers that wait for a token that works, however long that takes. */

interface Waiter {
  /** The token that will not do. */
  readonly refused: string | null;
  resolve(token: string): void;
  reject(error: unknown): void;
}

export function makeWaiters() {
  const waiters = new Set<Waiter>();
  return {
    /** Whether anybody waits. */
    get any(): boolean {
      return waiters.size > 0;
    },

    /** Resolves with the first token that is not `refused`. */
    wait: (refused: string | null): Promise<string> =>
      new Promise((resolve, reject) => {
        waiters.add({ refused, resolve, reject });
      }),

    /** There is a token that works. */
    resolve(token: string): void {
      for (const waiter of [...waiters]) {
        if (waiter.refused === token) continue;
        waiters.delete(waiter);
        waiter.resolve(token);
      }
    },

    /** There will be none. */
    reject(reason: unknown): void {
      for (const waiter of waiters) waiter.reject(reason);
      waiters.clear();
    },
  };
}
