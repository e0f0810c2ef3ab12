/** Stands in for React Native's module: an AppState that the test moves. */
type Listener = (state: string) => void;

export class FakeAppState {
  currentState: string | null = 'active';
  readonly listeners = new Set<Listener>();

  addEventListener(_type: 'change', listener: Listener): { remove(): void } {
    this.listeners.add(listener);
    return { remove: () => void this.listeners.delete(listener) };
  }

  become(state: string): void {
    this.currentState = state;
    for (const listener of [...this.listeners]) listener(state);
  }
}

export const AppState = new FakeAppState();
