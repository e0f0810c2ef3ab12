/** Stands in for `@react-native-community/netinfo`: tells a new listener of the state as it is, a moment later. */
interface State {
  readonly isConnected: boolean | null;
}

export class FakeNetInfo {
  #state: State = { isConnected: null };
  readonly listeners = new Set<(state: State) => void>();

  addEventListener(listener: (state: State) => void): () => void {
    this.listeners.add(listener);
    void Promise.resolve().then(() => {
      if (this.listeners.has(listener)) listener(this.#state);
    });
    return () => {
      this.listeners.delete(listener);
    };
  }

  become(isConnected: boolean | null): void {
    this.#state = { isConnected };
    for (const listener of [...this.listeners]) listener(this.#state);
  }
}
