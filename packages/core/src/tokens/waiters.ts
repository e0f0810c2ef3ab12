/** Callers that wait for a token that works, however long that takes. */

interface Waiter {
  /** The token that will not do. */
  readonly not: string | null;
  resolve(token: string): void;
  reject(error: unknown): void;
}

export class Waiters {
  readonly #waiters = new Set<Waiter>();

  /** Whether anybody waits. */
  get any(): boolean {
    return this.#waiters.size > 0;
  }

  /** Resolves with the first token that is not `refused`. */
  wait(refused: string | null): Promise<string> {
    return new Promise<string>((resolve, reject) => {
      this.#waiters.add({ not: refused, resolve, reject });
    });
  }

  /** There is a token that works. */
  resolve(token: string): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.not === token) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(token);
    }
  }

  /** There will be none. */
  reject(reason: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(reason);
    this.#waiters.clear();
  }
}
