/**
 * What the SDK needs of the place it runs in. `web.ts` gives it for browsers and Node; React Native and the
 * tests give their own. Nothing else in this package touches a global.
 */
import type { TokenStorage } from '../tokens/storage.ts';

/** Two clocks, in milliseconds. */
export interface Clock {
  /** Since the Unix epoch; may jump, goes on during sleep. */
  wall(): number;
  /** Since some moment; never jumps, may stand still during sleep. */
  mono(): number;
}

/** One-shot timers. */
export interface Timers {
  /** Calls `fn` once after `ms` (at most 2^31 - 1). Returns what cancels it. */
  after(ms: number, fn: () => void): () => void;
}

/** The part of a fetch reply that is read. */
export interface HttpReply {
  readonly status: number;
  readonly headers: {
    /** The header `name`, or null where it is absent. */
    get(name: string): string | null;
  };
  /** The body. */
  text(): Promise<string>;
}

/** The part of `fetch` that is used. */
export type Fetch = (
  url: string,
  init: {
    method: string;
    headers: Record<string, string>;
    body?: string;
    signal?: AbortSignal;
    keepalive?: boolean;
    credentials?: 'omit';
    cache?: 'no-store';
  },
) => Promise<HttpReply>;

/** What is known of the device's connection. */
export interface Network {
  /** False only where the device is sure to be offline; true proves nothing. */
  online(): boolean;
  /** Calls `fn` at each change. Returns what ends it. */
  subscribe(fn: (online: boolean) => void): () => void;
}

/** Whether anybody is looking. */
export interface Lifecycle {
  /** False while the page or app is in the background. */
  visible(): boolean;
  /** Calls `fn` when it may have slept: shown, focused, thawed. Returns what ends it. */
  onResume(fn: () => void): () => void;
}

/** Locks between the tabs of an origin. */
export interface Locks {
  /**
   * Runs `fn` while holding the lock `name`. Where it cannot be had within `waitMs`, runs `fn` without:
   * a frozen tab must not stop the others, and the server bears a race.
   */
  hold<T>(name: string, waitMs: number, fn: () => Promise<T>): Promise<T>;
}

/** A way to speak to the other tabs of an origin. */
export interface Channel {
  /** Sends to the others, not to itself. */
  post(message: unknown): void;
  /** Lets go of it. */
  close(): void;
}

/** The place that the SDK runs in. */
export interface Platform {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Uniform in [0, 1). Spreads load; nothing secret hangs on it. */
  random(): number;
  readonly fetch: Fetch;
  /** A WebSocket constructor, or null where there is none. */
  readonly webSocket: unknown;
  readonly network: Network;
  readonly lifecycle: Lifecycle;
  readonly locks: Locks;
  /** Opens the channel `name`, or returns null where tabs cannot speak to each other. */
  channel(name: string, onMessage: (message: unknown) => void): Channel | null;
  /** The storage that tokens go to unless the app names one. */
  storage(key: string): TokenStorage;
  /**
   * A map that all who run in this page or app have in common, other copies of this package included: through
   * it, clients of one user share a session. Absent, or null, where one process serves many people: nobody there
   * may come by another's session because he names its user.
   */
  shared?(): Map<string, unknown> | null;
  /**
   * Keeps a process that would end by itself, as Node's do, until what it returns is called: while somebody is signed in,
   * nothing but a timer may be left of a connection that an outage has cut. Absent where nothing ends by itself.
   */
  stay?(): () => void;
}
