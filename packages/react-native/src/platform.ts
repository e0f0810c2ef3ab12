/** The platform of React Native. Looks at globals and modules when it is called, never at import. */
import {
  type Clock,
  type Lifecycle,
  memoryStorage,
  type Network,
  type Platform,
  sharedMap,
  type Timers,
} from '@chatsdk/core';
import { appLocks } from './locks.ts';

/** The part of React Native's `AppState` that is used. */
export interface AppStateLike {
  /** `active`, `background`, `inactive` and, on some systems and at the start, others or nothing. */
  readonly currentState: string | null | undefined;
  /** Calls `listener` at each change. */
  addEventListener(
    type: 'change',
    listener: (state: string) => void,
  ): {
    /** Ends it. */
    remove(): void;
  };
}

/** The part of `@react-native-community/netinfo` that is used. */
export interface NetInfoLike {
  /** Calls `listener` with the state as it is, and at each change. Returns what ends it. */
  addEventListener(listener: (state: { readonly isConnected: boolean | null }) => void): () => void;
}

/** What the platform is made of. */
export interface ReactNativeModules {
  readonly appState: AppStateLike;
  readonly netInfo?: NetInfoLike | undefined;
}

/** The platform of an app. Starts nothing, and listens to nobody before it is asked to. */
export function reactNativePlatform({ appState, netInfo }: ReactNativeModules): Platform {
  return {
    clock,
    timers,
    random: () => Math.random(),
    fetch: (url, init) => globalThis.fetch(url, init),
    webSocket: globalThis.WebSocket,
    network: netInfo === undefined ? unknownNetwork : new DeviceNetwork(netInfo),
    lifecycle: appLifecycle(appState),
    locks: appLocks(timers),
    // An app is one process: nobody else has its tokens.
    channel: () => null,
    // Clients of one user share a session, as on a page.
    shared: sharedMap,
    storage: memoryStorage,
    // An app ends when the system says so.
    stay: () => () => {},
  };
}

/** The clocks of the device. */
export const clock: Clock = {
  wall: () => Date.now(),
  // React Native sets `performance` up in all its versions, some of its lighter relatives do not.
  mono: () => (globalThis.performance as Performance | undefined)?.now() ?? Date.now(),
};

/** Its timers. */
export const timers: Timers = {
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
};

function appLifecycle(appState: AppStateLike): Lifecycle {
  return {
    // `inactive` is an app under the control centre or a call: it runs, and will be looked at.
    visible: () => appState.currentState !== 'background',
    onResume: (fn) => {
      const subscription = appState.addEventListener('change', (state) => {
        if (state === 'active') fn();
      });
      return () => subscription.remove();
    },
  };
}

/** Without NetInfo nobody knows. The client then finds out by trying. */
const unknownNetwork: Network = { online: () => true, subscribe: () => () => {} };

/** One subscription of NetInfo for all listeners, as long as there are any. */
class DeviceNetwork implements Network {
  readonly #netInfo: NetInfoLike;
  readonly #listeners = new Set<(online: boolean) => void>();
  #online = true;
  #end: (() => void) | null = null;

  constructor(netInfo: NetInfoLike) {
    this.#netInfo = netInfo;
  }

  online(): boolean {
    return this.#online;
  }

  subscribe(fn: (online: boolean) => void): () => void {
    // Wrapped, so that the same function given twice is two subscriptions with two undos.
    const listener = (online: boolean): void => fn(online);
    this.#listeners.add(listener);
    this.#end ??= this.#netInfo.addEventListener((state) => this.#learn(state.isConnected));
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#end?.();
      this.#end = null;
      // What changes from here on is not heard of, and what is not known does not count as offline.
      this.#online = true;
    };
  }

  /**
   * `isInternetReachable` is not asked: it tells whether a page of a third party can be had, and a device that
   * reaches the chat server alone, as in a company's network, would never connect.
   */
  #learn(isConnected: boolean | null): void {
    const online = isConnected !== false;
    if (online === this.#online) return;
    this.#online = online;
    for (const listener of [...this.#listeners]) listener(online);
  }
}
