/** Tokens in `expo-secure-store`: the Keychain of iOS, the Keystore of Android. */
import type { TokenStorage } from '@chatsdk/core';
import { clock } from '../platform.ts';
import type { AsyncStorageLike } from './async-storage.ts';
import { type Items, readText, removeText, writeText } from './chunks.ts';
import { inTurn } from './turns.ts';

/** The part of `expo-secure-store` that is used. */
export interface SecureStoreLike {
  readonly AFTER_FIRST_UNLOCK: number;
  /** What stands under `key`, or null. */
  getItemAsync(key: string, options: NativeOptions): Promise<string | null>;
  /** Puts `value` there, at most 2,048 bytes of it. */
  setItemAsync(key: string, value: string, options: NativeOptions): Promise<void>;
  /** Takes it away. */
  deleteItemAsync(key: string, options: NativeOptions): Promise<void>;
}

interface NativeOptions {
  keychainAccessible: number;
  keychainService?: string;
}

/** What {@link secureStoreAdapter} can be told. */
export interface SecureStoreOptions {
  /** When iOS lets the tokens be read. Default: `AFTER_FIRST_UNLOCK`, which the background needs. */
  readonly keychainAccessible?: number;
  /** The Keychain service, or Keystore alias. Default: that of `expo-secure-store`. */
  readonly keychainService?: string;
  /**
   * AsyncStorage, to tell installations apart by. The Keychain of iOS outlives the app: who installs it again
   * finds the tokens of before. With this option they are removed at the first use after an installation.
   * Take it from your first release on, since it cannot tell an update from an installation when it comes
   * later, and do not `AsyncStorage.clear()` while somebody is signed in.
   */
  readonly installation?: AsyncStorageLike;
}

/** After so many failures in a row to decrypt an item, it is given up, */
const DECRYPT_TRIES = 3;
/** but not before so long, in ms awake: a keystore that is just starting fails in the same words. */
const DECRYPT_PATIENCE = 60_000;

/**
 * Keeps it in SecureStore under `key`, whatever its size: what does not fit into one item goes into several,
 * and is replaced as a whole. Reads what `setItemAsync(key, JSON.stringify(tokens))` has written, too.
 * @param secureStore `import * as SecureStore from 'expo-secure-store'`
 * @param key letters, digits, `.`, `-` and `_`; the adapter also uses names that begin with `key` and a dot
 */
export function secureStoreAdapter(
  secureStore: SecureStoreLike,
  key: string,
  options: SecureStoreOptions = {},
): TokenStorage {
  if (!/^[A-Za-z0-9._-]+$/.test(key)) {
    throw new TypeError('key may hold letters, digits, ".", "-" and "_": SecureStore takes no others.');
  }
  const { installation } = options;
  const items = itemsOf(secureStore, {
    keychainAccessible: options.keychainAccessible ?? secureStore.AFTER_FIRST_UNLOCK,
    ...(options.keychainService === undefined ? {} : { keychainService: options.keychainService }),
  });
  let ours = installation === undefined;

  /** Removes what an earlier installation left, once. */
  async function settleIn(): Promise<void> {
    if (ours || installation === undefined) return;
    const mark = `${key}.installed`;
    if ((await installation.getItem(mark)) === null) {
      await removeText(items, key);
      await installation.setItem(mark, 'yes');
    }
    ours = true;
  }

  const line = `${options.keychainService ?? ''}/${key}`;
  const alone = <T>(work: () => Promise<T>): Promise<T> =>
    inTurn(secureStore, line, () => settleIn().then(work));
  return {
    get: () =>
      alone(async () => {
        const text = await readText(items, key);
        return text === null ? null : JSON.parse(text);
      }),
    set: (value) => alone(() => writeText(items, key, ascii(JSON.stringify(value)))),
    remove: () => alone(() => removeText(items, key)),
  };
}

function itemsOf(secureStore: SecureStoreLike, native: NativeOptions): Items {
  const failures = new Map<string, { count: number; readonly since: number }>();
  return {
    async get(key) {
      try {
        const value = await secureStore.getItemAsync(key, native);
        failures.delete(key);
        return value;
      } catch (error) {
        // A locked device will open; what a restored backup brought without its key never will, and would
        // keep anything from being saved again.
        if (!/decrypt/i.test(String(error))) throw error;
        const failed = failures.get(key) ?? { count: 0, since: clock.mono() };
        failures.set(key, failed);
        failed.count += 1;
        if (failed.count < DECRYPT_TRIES || clock.mono() - failed.since < DECRYPT_PATIENCE) throw error;
        return null;
      }
    },
    async set(key, value) {
      await secureStore.setItemAsync(key, value, native);
      failures.delete(key);
    },
    remove: (key) => secureStore.deleteItemAsync(key, native),
  };
}

/** The same JSON in ASCII: the limit of an item is in bytes, and no character may be cut in two. */
function ascii(json: string): string {
  return json.replace(/[\u0080-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
