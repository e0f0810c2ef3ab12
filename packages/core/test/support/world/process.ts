/** A tab or process of a device: whatever reaches it waits while it is frozen, and is lost when it is gone. */
import type { Channel, Platform } from '../../../src/platform/platform.ts';
import type { TokenStorage } from '../../../src/tokens/storage.ts';
import type { Device } from './device.ts';

export interface ProcessOptions {
  random: () => number;
  locks: boolean;
  channel: boolean;
  visible: boolean;
  fetch: Platform['fetch'];
  storage: TokenStorage;
}

export class Process {
  readonly device: Device;
  alive = true;
  visible: boolean;
  /** Called at each point where the process may be killed, before it goes on. */
  atPoint: () => void = () => {};
  readonly #options: ProcessOptions;
  readonly #resumeListeners = new Set<() => void>();
  readonly #undo = new Set<() => void>();
  #waiting: (() => void)[] | null = null;

  constructor(device: Device, options: ProcessOptions) {
    this.device = device;
    this.visible = options.visible;
    this.#options = options;
  }

  /** Lets `fn` happen in this process: now, when it is thawed, or never. */
  deliver(fn: () => void): void {
    if (!this.alive) return;
    if (this.#waiting !== null) {
      this.#waiting.push(fn);
      return;
    }
    this.atPoint();
    if (this.alive) fn();
  }

  /** What `work` comes to, as this process gets to know of it. */
  arrive<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      work.then(
        (value) => this.deliver(() => resolve(value)),
        (error: unknown) => this.deliver(() => reject(error)),
      );
    });
  }

  after(ms: number, fn: () => void): () => void {
    let cancelled = false;
    const cancel = this.device.after(ms, () => this.deliver(() => cancelled || fn()));
    const undo = (): void => {
      cancelled = true;
      cancel();
      this.#undo.delete(undo);
    };
    this.#undo.add(undo);
    return undo;
  }

  onKilled(fn: () => void): void {
    this.#undo.add(fn);
  }

  /** It is gone, with its timers, locks and channels. */
  kill(): void {
    this.alive = false;
    this.#waiting = null;
    for (const undo of [...this.#undo]) undo();
    this.#undo.clear();
  }

  freeze(): void {
    this.#waiting ??= [];
  }

  /** What it missed happens in its order, each in a turn of its own, as an event loop would have it. */
  async thaw(): Promise<void> {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const fn of waiting) {
      this.deliver(fn);
      await this.device.settle();
    }
  }

  /** It was shown, focused, thawed. */
  resume(): void {
    this.deliver(() => {
      for (const listener of [...this.#resumeListeners]) listener();
    });
  }

  get platform(): Platform {
    const { device } = this;
    const options = this.#options;
    return {
      clock: { wall: () => device.wall(), mono: () => device.mono },
      timers: { after: (ms, fn) => this.after(ms, fn) },
      random: options.random,
      fetch: (url, init) => this.arrive(options.fetch(url, init)),
      webSocket: null,
      network: {
        online: () => device.online,
        subscribe: (fn) => this.#listen(device.networkListeners, (online) => this.deliver(() => fn(online))),
      },
      lifecycle: {
        visible: () => this.visible,
        onResume: (fn) => this.#listen(this.#resumeListeners, fn),
      },
      locks: {
        hold: async (name, waitMs, fn) => {
          if (!options.locks) return await fn();
          const leave = await device.locks.take(this, name, waitMs);
          try {
            return await fn();
          } finally {
            leave();
          }
        },
      },
      channel: (name, onMessage) => (options.channel ? this.#channel(name, onMessage) : null),
      storage: () => options.storage,
    };
  }

  #channel(name: string, onMessage: (message: unknown) => void): Channel {
    const members = this.device.channels.get(name) ?? new Map<Process, (message: unknown) => void>();
    this.device.channels.set(name, members);
    members.set(this, onMessage);
    const close = (): void => {
      members.delete(this);
    };
    this.#undo.add(close);
    return {
      post: (message) => {
        if (!this.alive) return;
        const copy: unknown = structuredClone(message);
        for (const [member, receive] of [...members]) {
          if (member !== this)
            queueMicrotask(() => member.deliver(() => members.has(member) && receive(copy)));
        }
      },
      close,
    };
  }

  #listen<T>(set: Set<T>, listener: T): () => void {
    set.add(listener);
    const undo = (): void => {
      set.delete(listener);
    };
    this.#undo.add(undo);
    return undo;
  }
}
