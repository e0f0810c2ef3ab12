/** A typed list of listeners; each subscription returns its own undo. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(payload: never) => void>>();
  readonly #onThrow: (error: unknown) => void;

  /** @param onThrow told of what a listener throws; the other listeners are called all the same. */
  constructor(onThrow: (error: unknown) => void) {
    this.#onThrow = onThrow;
  }

  /** Calls `listener` at each `event` until the returned function is called. */
  on<E extends keyof Events>(event: E, listener: (payload: Events[E]) => void): () => void {
    // Wrapped, so that the same function given twice is two subscriptions with two undos.
    const entry = (payload: Events[E]): void => listener(payload);
    const set = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, set);
    set.add(entry);
    return () => {
      set.delete(entry);
    };
  }

  /** Calls the listeners of `event`, in the order in which they came. */
  emit<E extends keyof Events>(event: E, payload: Events[E]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        (listener as (payload: Events[E]) => void)(payload);
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }
}
