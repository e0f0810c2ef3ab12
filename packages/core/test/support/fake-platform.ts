/** A platform whose time the test moves. Nothing in it is real but the promises. */
import type { Channel, HttpReply, Platform } from '../../src/platform/platform.ts';
import { memoryStorage, type TokenStorage } from '../../src/tokens/storage.ts';

/** A Wednesday. */
export const START = 1_704_835_200_000;

interface Timer {
  at: number;
  fn: () => void;
}

/** What several tabs of one device have in common: its clocks, its storage, its channels, its network. */
export class Device {
  mono = 1_000;
  wall = START;
  online = true;
  readonly timers = new Set<Timer>();
  readonly storage = new Map<string, TokenStorage>();
  readonly channels = new Map<string, Set<(message: unknown) => void>>();
  readonly networkListeners = new Set<(online: boolean) => void>();
  readonly lockQueues = new Map<string, Promise<unknown>>();

  /** Lets everything that needs no time happen. */
  async settle(): Promise<void> {
    await new Promise((resume) => setImmediate(resume));
  }

  /** Moves both clocks on by `ms`, and runs each timer at its moment. */
  async advance(ms: number): Promise<void> {
    await this.settle();
    const end = this.mono + ms;
    for (;;) {
      const next = [...this.timers].reduce<Timer | null>(
        (first, timer) => (first === null || timer.at < first.at ? timer : first),
        null,
      );
      if (next === null || next.at > end) break;
      this.timers.delete(next);
      this.#moveTo(Math.max(this.mono, next.at));
      next.fn();
      await this.settle();
    }
    this.#moveTo(end);
    await this.settle();
  }

  /** The device sleeps: the wall clock goes on, the monotonic one and the timers stand still. */
  sleep(ms: number): void {
    this.wall += ms;
  }

  goOnline(online: boolean): void {
    this.online = online;
    for (const listener of [...this.networkListeners]) listener(online);
  }

  #moveTo(mono: number): void {
    this.wall += mono - this.mono;
    this.mono = mono;
  }
}

/** One tab of a device. */
export class Tab {
  readonly device: Device;
  visible = true;
  random = 0.5;
  locks = true;
  channels = true;
  /** What the clients of this tab share; null where they share nothing, as on a server. */
  shared: Map<string, unknown> | null = null;
  readonly resumeListeners = new Set<() => void>();
  fetch: Platform['fetch'] = () => Promise.reject(new TypeError('Failed to fetch'));

  constructor(device: Device) {
    this.device = device;
  }

  resume(): void {
    for (const listener of [...this.resumeListeners]) listener();
  }

  get platform(): Platform {
    const { device } = this;
    return {
      clock: { wall: () => device.wall, mono: () => device.mono },
      timers: {
        after: (ms, fn) => {
          if (!(ms >= 0 && ms <= 2 ** 31 - 1)) throw new RangeError(`a timer of ${ms} ms`);
          const timer = { at: device.mono + ms, fn };
          device.timers.add(timer);
          return () => {
            device.timers.delete(timer);
          };
        },
      },
      random: () => this.random,
      fetch: (url, init) => this.fetch(url, init),
      webSocket: null,
      network: {
        online: () => device.online,
        subscribe: (fn) => subscribe(device.networkListeners, fn),
      },
      lifecycle: {
        visible: () => this.visible,
        onResume: (fn) => subscribe(this.resumeListeners, fn),
      },
      locks: {
        hold: async (name, waitMs, fn) => {
          if (!this.locks) return await fn();
          const before = device.lockQueues.get(name) ?? Promise.resolve();
          let cancel = (): void => {};
          const patience = new Promise<void>((giveUp) => {
            const timer = { at: device.mono + waitMs, fn: giveUp };
            device.timers.add(timer);
            cancel = () => {
              device.timers.delete(timer);
            };
          });
          const turn = Promise.race([before, patience]).then(() => {
            cancel();
            return fn();
          });
          device.lockQueues.set(
            name,
            turn.catch(() => {}),
          );
          return await turn;
        },
      },
      channel: (name, onMessage) => (this.channels ? open(device, name, onMessage) : null),
      storage: (key) => {
        const storage = device.storage.get(key) ?? sharedStorage();
        device.storage.set(key, storage);
        return storage;
      },
      shared: () => this.shared,
    };
  }
}

/** Like `localStorage`: holds text, and tells the other subscribers of changes. */
export function sharedStorage(): TokenStorage & { text: string | null } {
  const listeners = new Set<() => void>();
  const storage = {
    text: null as string | null,
    get: () => (storage.text === null ? null : JSON.parse(storage.text)),
    set: (value: unknown) => {
      storage.text = JSON.stringify(value);
      for (const listener of [...listeners]) queueMicrotask(listener);
    },
    remove: () => {
      storage.text = null;
    },
    subscribe: (listener: () => void) => subscribe(listeners, listener),
  };
  return storage;
}

export { memoryStorage };

function subscribe<T>(set: Set<T>, listener: T): () => void {
  set.add(listener);
  return () => {
    set.delete(listener);
  };
}

function open(device: Device, name: string, onMessage: (message: unknown) => void): Channel {
  const members = device.channels.get(name) ?? new Set();
  device.channels.set(name, members);
  members.add(onMessage);
  return {
    post: (message) => {
      const copy: unknown = structuredClone(message);
      for (const member of [...members]) {
        if (member !== onMessage) queueMicrotask(() => members.has(member) && member(copy));
      }
    },
    close: () => {
      members.delete(onMessage);
    },
  };
}

/** A reply as `fetch` gives one. */
export function reply(status: number, body: unknown, headers: Record<string, string> = {}): HttpReply {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const all = new Map(
    Object.entries({ 'content-type': 'application/json', ...headers }).map(([k, v]) => [k.toLowerCase(), v]),
  );
  return { status, headers: { get: (name) => all.get(name.toLowerCase()) ?? null }, text: async () => text };
}

/** A problem document of our server. */
export function problem(status: number, code: string, more: Record<string, unknown> = {}): HttpReply {
  const body = { type: 'about:blank', title: code, status, code, detail: code, requestId: 'req_1', ...more };
  return reply(status, body, { 'content-type': 'application/problem+json' });
}
