/** The platform of browsers, their workers, and Node. Looks at globals when it is called, never at import. */
import { localStorageAdapter, memoryStorage } from '../tokens/storage.ts';
import { listen } from './listen.ts';
import type { Channel, Fetch, Lifecycle, Locks, Network, Platform, Timers } from './platform.ts';

/** The platform of where this runs. Starts nothing. */
export function webPlatform(): Platform {
  // Node has locks and channels too, but its processes share no storage that they could guard, and an open
  // channel would keep the process alive.
  const browser = 'document' in globalThis || 'WorkerGlobalScope' in globalThis;
  return {
    clock: { wall: () => Date.now(), mono: () => performance.now() },
    timers: webTimers,
    random: () => Math.random(),
    fetch: ((url, init) => globalThis.fetch(url, supported(init))) satisfies Fetch,
    webSocket: globalThis.WebSocket ?? null,
    network,
    lifecycle,
    locks: browser && globalThis.navigator?.locks ? webLocks : noLocks,
    channel: browser && 'BroadcastChannel' in globalThis ? openChannel : () => null,
    // Workers have no localStorage; their channels still tell them of the pairs of the pages.
    storage: (key) => ('document' in globalThis ? localStorageAdapter(key) : memoryStorage()),
    // A page is one person's. A server, an edge worker and whatever renders pages there are not.
    shared: () => ('document' in globalThis ? sharedMap() : null),
    stay: () => {
      const timer = setInterval(() => {}, 2 ** 30);
      return () => clearInterval(timer);
    },
  };
}

/** What fetch understands here of what was asked for: some edge runtimes throw at what they have no use for. */
export function supported<T extends RequestInit>(init: T): T {
  const kept = { ...init };
  for (const name of ['credentials', 'cache'] as const) {
    if ('Request' in globalThis && !(name in Request.prototype)) delete kept[name];
  }
  return kept;
}

/** What a developer has to look at, where the app names no logger; nothing of the ordinary course. */
export function consoleOf(): Partial<Pick<Console, 'warn' | 'error'>> {
  // Some engines have none by themselves.
  const { warn, error } = globalThis.console ?? {};
  return { warn, error };
}

/** Names what the copies of this package share; its number grows when they could no longer understand it. */
const SHARED = Symbol.for('chatsdk.shared.1');

/** The map of this realm under a well-known symbol, made at the first call. */
export function sharedMap(): Map<string, unknown> {
  const host = globalThis as { [SHARED]?: Map<string, unknown> };
  host[SHARED] ??= new Map();
  return host[SHARED];
}

function after(ms: number, fn: () => void): () => void {
  const timer = setTimeout(fn, ms);
  // A pending refresh is no reason for a Node process to stay.
  (timer as { unref?(): void }).unref?.();
  return () => clearTimeout(timer);
}

/** The timers of every place there is. They keep no Node process alive. */
export const webTimers: Timers = { after };

const network: Network = {
  online: () => globalThis.navigator?.onLine !== false,
  subscribe: (fn) => listen(globalThis, ['online', 'offline'], ({ type }) => fn(type === 'online')),
};

const lifecycle: Lifecycle = {
  visible: () => globalThis.document?.visibilityState !== 'hidden',
  onResume: (fn) => {
    const undoPage = listen(globalThis.document, ['visibilitychange', 'resume'], () => {
      if (lifecycle.visible()) fn();
    });
    const undoWindow = listen(globalThis, ['pageshow', 'focus'], () => fn());
    return () => {
      undoPage();
      undoWindow();
    };
  },
};

const webLocks: Locks = {
  async hold(name, waitMs, fn) {
    let granted = false;
    const giveUp = new AbortController();
    const cancel = after(waitMs, () => giveUp.abort());
    try {
      return (await navigator.locks.request(name, { signal: giveUp.signal }, () => {
        granted = true;
        cancel();
        return fn();
      })) as Awaited<ReturnType<typeof fn>>;
    } catch (error) {
      // What `fn` threw is its caller's; anything else is the lock's, and the work is done without it.
      if (granted) throw error;
      return fn();
    } finally {
      cancel();
    }
  },
};

/** For places without tabs: runs the work at once. */
export const noLocks: Locks = { hold: (_name, _waitMs, fn) => fn() };

function openChannel(name: string, onMessage: (message: unknown) => void): Channel | null {
  try {
    const channel = new BroadcastChannel(name);
    channel.onmessage = (event) => onMessage(event.data);
    return {
      post: (message) => channel.postMessage(message),
      close: () => {
        channel.onmessage = null;
        channel.close();
      },
    };
  } catch {
    // An opaque origin (a sandboxed frame) has no channels.
    return null;
  }
}
