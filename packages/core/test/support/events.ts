/** Waiting for what happens, and not for time. */

/** A list that grows, and promises of its growth. */
export class Happenings<T> {
  readonly items: T[] = [];
  readonly #waiters = new Set<() => void>();

  readonly add = (item: T): void => {
    this.items.push(item);
    for (const waiter of [...this.#waiters]) waiter();
  };

  /** Resolves with the first item that fits. */
  async until(fits: (item: T, items: readonly T[]) => boolean): Promise<T> {
    return await new Promise<T>((resolve) => {
      const look = (): void => {
        const found = this.items.find((item) => fits(item, this.items));
        if (found === undefined) return;
        this.#waiters.delete(look);
        resolve(found);
      };
      this.#waiters.add(look);
      look();
    });
  }

  /** Resolves when there are `count` items. */
  async count(count: number): Promise<void> {
    await this.until((_, items) => items.length >= count);
  }
}
