/** Tokens in AsyncStorage: survives restarts, is not encrypted. */
import type { TokenStorage } from '@chatsdk/core';

/** The part of `@react-native-async-storage/async-storage` that is used. */
export interface AsyncStorageLike {
  /** What stands under `key`, or null. */
  getItem(key: string): Promise<string | null>;
  /** Puts `value` there. */
  setItem(key: string, value: string): Promise<void>;
  /** Takes it away. */
  removeItem(key: string): Promise<void>;
}

/**
 * Keeps it in AsyncStorage under `key`. Whoever reads the app's files can read the tokens; take
 * {@link secureStoreAdapter} where that matters.
 * @param asyncStorage the default export of `@react-native-async-storage/async-storage`
 */
export function asyncStorageAdapter(asyncStorage: AsyncStorageLike, key: string): TokenStorage {
  return {
    get: async () => {
      const text = await asyncStorage.getItem(key);
      return text === null ? null : JSON.parse(text);
    },
    set: (value) => asyncStorage.setItem(key, JSON.stringify(value)),
    remove: () => asyncStorage.removeItem(key),
  };
}
