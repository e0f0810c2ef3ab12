/** Where pairs are kept between runs, and shared between tabs. */
import { listen } from '../platform/listen.ts';

/**
 * A place for one JSON value. The SDK decides what stands in it: the newest pair, or that the user logged
 * out. Both forms of return are fine, values and promises.
 */
export interface TokenStorage {
  /** What `set` was last given, or null. Also understood: `{accessToken, refreshToken, expiresAt}`. */
  get(): unknown;
  /** Keeps the value, and throws or rejects where it cannot. */
  set(value: StoredTokens): void | Promise<void>;
  /** Forgets the value. Called where the user left, and where a newer value could not be kept. */
  remove(): void | Promise<void>;
  /**
   * Calls `listener` when another tab or process changed the value. Returns what ends it. Leave it out where nobody
   * else uses the storage.
   */
  subscribe?(listener: () => void): () => void;
  /** True where what it keeps is gone with the process. */
  readonly volatile?: boolean;
}

/** What stands in a {@link TokenStorage}. Holds secrets while `accessToken` or `revoke` is there. */
export interface StoredTokens {
  /** Version of this shape. */
  v: 1;
  /** Whose it is. */
  userID: string;
  /** Counts logouts. Who knows of fewer has been logged out meanwhile, and saves nothing. */
  generation: number;
  accessToken?: string | undefined;
  refreshToken?: string | undefined;
  /** When the access token expires, ms since the Unix epoch by the server. */
  expiresAt?: number | undefined;
  /** When it was received, ms since the Unix epoch by this device. */
  receivedAt?: number | undefined;
  /** How far the server's clock is ahead of this device's, ms. */
  offset?: number | undefined;
  /**
   * What ends sessions that were logged out and that the server has not been told of yet: refresh tokens, or
   * `Bearer` and an access token where there was no refresh token.
   */
  revoke?: string[];
}

/** Keeps it as long as the object lives. */
export function memoryStorage(): TokenStorage {
  let kept: StoredTokens | null = null;
  return {
    volatile: true,
    get: () => kept,
    set: (value) => {
      kept = value;
    },
    remove: () => {
      kept = null;
    },
  };
}

/** Keeps it in the browser's `localStorage` under `key`, shared by the tabs of the origin. */
export function localStorageAdapter(key: string): TokenStorage {
  return webStorage('localStorage', key);
}

/** Keeps it in the browser's `sessionStorage` under `key`, for this tab. */
export function sessionStorageAdapter(key: string): TokenStorage {
  return webStorage('sessionStorage', key);
}

interface Area {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

function webStorage(name: 'localStorage' | 'sessionStorage', key: string): TokenStorage {
  // biome-ignore lint/style/noRestrictedGlobals: an adapter is where the platform begins.
  const host: Partial<Record<typeof name, Area>> & Partial<EventTarget> = globalThis;
  // Looked up at each use: merely touching it throws where the browser blocks storage, and the manager
  // treats that throw like any other failure of a storage.
  const area = (): Area => {
    const found = host[name];
    if (!found) {
      throw new DOMException(`${name} is not available here`, 'SecurityError');
    }
    return found;
  };
  return {
    get: () => {
      const text = area().getItem(key);
      return text === null ? null : JSON.parse(text);
    },
    set: (value) => area().setItem(key, JSON.stringify(value)),
    remove: () => area().removeItem(key),
    subscribe: (listener) =>
      listen(host, ['storage'], ({ key: changed }: StorageEvent) => {
        if (changed === key || changed === null) listener();
      }),
  };
}
