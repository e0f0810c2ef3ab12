/** Things that happen, waited for one after the other. */
export class Queue<T> {
  readonly #came: T[] = [];
  readonly #waiting: ((it: T) => void)[] = [];

  readonly push = (it: T): void => {
    const resume = this.#waiting.shift();
    if (resume === undefined) this.#came.push(it);
    else resume(it);
  };

  /** The next one. */
  next(): Promise<T> {
    const it = this.#came.shift();
    return it === undefined ? new Promise((resume) => this.#waiting.push(resume)) : Promise.resolve(it);
  }

  /** The next `count`. */
  async take(count: number): Promise<T[]> {
    const taken: T[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }

  /** What came and was not waited for. */
  get left(): readonly T[] {
    return this.#came;
  }
}
