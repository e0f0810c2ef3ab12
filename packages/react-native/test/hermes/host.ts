/**
 * What React Native adds to the bare engine, and no more: timers, `fetch`, `WebSocket`, `AbortController` and
 * a `performance`. Time moves when the scenario says so.
 */

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

/** The engine's own queue, which knows no time. */
declare function setImmediate(fn: () => void): void;

/** The clocks and timers of the device. */
export class Device {
  wall = 1_704_835_200_000;
  mono = 1_000;
  readonly timers = new Map<number, Timer>();
  #lastTimer = 0;

  /** Lets everything that needs no time happen. */
  async settle(): Promise<void> {
    // Promises of this engine are jobs of the same queue, one turn for each link of a chain.
    for (let n = 0; n < 300; n += 1) await new Promise<void>((resume) => setImmediate(resume));
  }

  /** Moves both clocks on by `ms`, and runs each timer at its moment. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const end = this.mono + ms;
    for (;;) {
      let next: [number, Timer] | null = null;
      for (const entry of this.timers) {
        if (next === null || entry[1].at < next[1].at) next = entry;
      }
      if (next === null || next[1].at > end) break;
      this.timers.delete(next[0]);
      this.#moveTo(Math.max(this.mono, next[1].at));
      next[1].fn();
      await this.settle();
    }
    this.#moveTo(end);
    await this.settle();
  }

  /** The system suspends the app: the wall clock goes on, the monotonic one and the timers stand still. */
  sleep(ms: number): void {
    this.wall += ms;
  }

  /** The system holds timers back: both clocks go on, and what was due comes late. */
  stall(ms: number): void {
    this.#moveTo(this.mono + ms);
  }

  setTimeout(fn: () => void, ms = 0): number {
    this.#lastTimer += 1;
    this.timers.set(this.#lastTimer, { at: this.mono + ms, fn });
    return this.#lastTimer;
  }

  #moveTo(mono: number): void {
    this.wall += mono - this.mono;
    this.mono = mono;
  }
}

/** The signal and controller of React Native: no `any`, no `timeout`, no `throwIfAborted`. */
class Signal {
  aborted = false;
  readonly #listeners = new Set<() => void>();

  addEventListener(_type: string, listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: string, listener: () => void): void {
    this.#listeners.delete(listener);
  }

  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    for (const listener of [...this.#listeners]) listener();
  }
}

class Controller {
  readonly signal = new Signal();

  abort(): void {
    this.signal.abort();
  }
}

/** Makes the globals of React Native. */
export function install(device: Device, fetch: unknown, webSocket: unknown): void {
  Date.now = () => device.wall;
  Math.random = () => 0.5;
  Object.assign(globalThis, {
    setTimeout: (fn: () => void, ms?: number) => device.setTimeout(fn, ms),
    clearTimeout: (id: number) => void device.timers.delete(id),
    performance: { now: () => device.mono },
    navigator: { product: 'ReactNative' },
    AbortController: Controller,
    fetch,
    WebSocket: webSocket,
  });
}
